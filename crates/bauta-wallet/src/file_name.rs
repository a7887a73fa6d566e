//! Names of delivered files. A merchant chooses them, so they are made safe before they touch a file system.

use bauta_proto::limits::NAME_BYTES_MAX;

/// What a file is called whose name has nothing usable in it.
const FALLBACK: &str = "goods";
/// Room for the marks that a save adds, such as ` (2)` or `.part`.
const NAME_BYTES: usize = NAME_BYTES_MAX - 55;
/// Names that Windows gives to devices, with any extension.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// A name that stands for one file in the folder where it is put, on every system, and looks like what it is.
///
/// No separators, control or direction characters, no leading dots or spaces, no trailing dots or spaces, no device of
/// Windows, at most 200 bytes with the extension kept.
#[must_use]
pub fn safe_file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let visible: String = last.chars().filter(|c| !is_deceptive(*c)).collect();
    let allowed = visible.replace(['<', '>', ':', '"', '|', '?', '*'], "_");
    let trimmed = trim(&allowed);
    let shortened = trim(&shorten(trimmed)).to_owned();
    if shortened.is_empty() {
        FALLBACK.to_owned()
    } else if is_device(&shortened) {
        trim(&shorten(&format!("_{shortened}"))).to_owned()
    } else {
        shortened
    }
}

/// Without what is invisible at the ends, or hides a file.
fn trim(name: &str) -> &str {
    name.trim_start_matches(|c: char| c == '.' || c.is_whitespace())
        .trim_end_matches(|c: char| c == '.' || c.is_whitespace())
}

/// Controls, line breaks, and characters that are invisible or turn the direction of reading, so that a name reads as
/// another (Unicode TR 36, section 3; `exe.gpj` for `jpg.exe`).
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// At most [`NAME_BYTES`] bytes, taken from the stem as long as there is one.
fn shorten(name: &str) -> String {
    if name.len() <= NAME_BYTES {
        return name.to_owned();
    }
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if name.len() - dot <= 32 => name.split_at(dot),
        _ => (name, ""),
    };
    let room = NAME_BYTES - extension.len();
    let end = (0..=room).rev().find(|end| stem.is_char_boundary(*end));
    format!("{}{extension}", &stem[..end.unwrap_or(0)])
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let stem = stem.to_lowercase();
    let numbered = |prefix: &&str| {
        stem.strip_prefix(*prefix)
            .is_some_and(|rest| matches!(rest, "¹" | "²" | "³") || is_digit(rest))
    };
    DEVICES.contains(&stem.as_str()) || NUMBERED_DEVICES.iter().any(numbered)
}

fn is_digit(text: &str) -> bool {
    text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn harmless_names_stay_as_they_are() {
        for name in [
            "song.flac",
            "Grüße aus Köln.pdf",
            "日本語.txt",
            "a.tar.gz",
            "comet.txt",
        ] {
            assert_eq!(safe_file_name(name), name);
        }
    }

    #[test]
    fn a_device_with_a_long_extension_keeps_the_limit() {
        let name = format!("con.{}", "a".repeat(NAME_BYTES));
        let safe = safe_file_name(&name);
        assert!(safe.starts_with("_con.a") && safe.len() == NAME_BYTES);
        assert_eq!(safe_file_name(&safe), safe);
    }

    #[test]
    fn names_that_lead_elsewhere_or_lie_are_made_safe() {
        let cases = [
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\system32\\cmd.exe", "cmd.exe"),
            (".bashrc", "bashrc"),
            ("..", "goods"),
            ("", "goods"),
            ("a/", "goods"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("line\nbreak\0.txt", "linebreak.txt"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("com1", "_com1"),
            ("stream:hidden", "stream_hidden"),
            ("dots. . .", "dots"),
        ];
        for (given, safe) in cases {
            assert_eq!(safe_file_name(given), safe);
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let name = safe_file_name(&format!("{}.flac", "ä".repeat(300)));
        assert!(name.ends_with("ä.flac") && name.len() <= NAME_BYTES);
    }

    proptest! {
        #[test]
        fn every_name_becomes_one_safe_component(name in any::<String>()) {
            let safe = safe_file_name(&name);
            prop_assert!(!safe.is_empty() && safe.len() <= NAME_BYTES + 1);
            prop_assert!(!safe.contains(['/', '\\', ':', '\0']));
            prop_assert!(!safe.starts_with(['.', ' ']) && !safe.ends_with(['.', ' ']));
            prop_assert!(!safe.chars().any(is_deceptive));
            let path = std::path::Path::new(&safe);
            prop_assert_eq!(path.components().count(), 1);
            prop_assert!(!is_device(&safe));
            prop_assert_eq!(safe_file_name(&safe), safe);
        }
    }
}
