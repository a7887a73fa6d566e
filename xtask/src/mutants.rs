//! `cargo xtask mutants`: takes out one check after the other and expects that the attack which it stops succeeds.
//!
//! All mutants are built into one copy of the tree at once: each changed expression becomes
//! `if <this mutant is asked for> { changed } else { as it was }`, and a variable of the environment asks. So the whole
//! list costs one build, and each mutant the time of its scripts. The copy stands under `target/mutants` and keeps the
//! times of what has not changed, so that the next run builds little.

mod list;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    fmt::Write as _,
    fs,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use list::MUTANTS;

/// Which mutant a program of the copy is to be.
const VARIABLE: &str = "BAUTA_MUTANT";
/// What a script says when its attack succeeds.
const SUCCEEDED: &str = "the attack succeeded";
/// Longest time for one script.
const SCRIPT_TIME_MAX: Duration = Duration::from_secs(120);

/// A check taken out.
pub(crate) struct Mutant {
    /// What is taken out, in few words.
    name: &'static str,
    /// The expressions that make it up: several where one check stands behind another.
    edits: &'static [Edit],
    /// The attacks that must then succeed, as `module::script`.
    scripts: &'static [&'static str],
}

/// One changed expression.
#[derive(Clone, Copy)]
pub(crate) struct Edit {
    /// The file, from the root of the workspace.
    file: &'static str,
    /// What stands in the file exactly once, and around the expression.
    place: &'static str,
    /// The expression, exactly once in `place`.
    expression: &'static str,
    /// What is put in its stead.
    replacement: &'static str,
}

/// Prints a line; a reader that has gone away is no reason to stop.
macro_rules! say {
    ($($item:tt)*) => {
        writeln!(io::stdout(), $($item)*).unwrap_or_default()
    };
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// Its scripts noticed.
    Killed,
    /// A script ran as if nothing had been taken out: either the script or the check is worth nothing.
    Survived(&'static str),
    /// A script failed without its attack succeeding.
    Unclear(&'static str),
}

/// Runs the mutants whose name or script contains one of `wanted`, all if there is none; false when one survived.
pub(crate) fn run(workspace: &Path, wanted: &[&str]) -> bool {
    match try_run(workspace, wanted) {
        Ok(is_good) => is_good,
        Err(error) => {
            say!("{error}");
            false
        }
    }
}

fn try_run(workspace: &Path, wanted: &[&str]) -> Result<bool, String> {
    let mutants: Vec<&Mutant> = MUTANTS
        .iter()
        .filter(|mutant| is_wanted(mutant, wanted))
        .collect();
    if mutants.is_empty() {
        return Err("no mutant has such a name or script".to_owned());
    }
    let copy = workspace.join("target").join("mutants");
    let started = Instant::now();
    copy_tree(workspace, &copy.join("tree"))?;
    let program = build(&copy)?;
    say!("built in {:.0} s", started.elapsed().as_secs_f64());
    let whole = run_script(&program, &copy, "", None)?;
    if whole.is_success {
        say!(
            "without any of them every attack fails; {} mutants",
            mutants.len()
        );
    } else {
        return Err(format!("the scripts fail as they are:\n{}", whole.output));
    }
    let mut fates = Vec::new();
    for mutant in mutants {
        let begun = Instant::now();
        let fate = fate_of(mutant, &program, &copy)?;
        let spent = begun.elapsed().as_secs_f64();
        say!("{}  {spent:5.1} s  {}", told(&fate), mutant.name);
        fates.push((mutant, fate));
    }
    Ok(summarize(&fates, started.elapsed()))
}

fn is_wanted(mutant: &Mutant, wanted: &[&str]) -> bool {
    let names = |word: &&str| {
        mutant.name.contains(*word) || mutant.scripts.iter().any(|script| script.contains(*word))
    };
    wanted.is_empty() || wanted.iter().any(names)
}

fn told(fate: &Fate) -> String {
    match fate {
        Fate::Killed => "killed  ".to_owned(),
        Fate::Survived(script) => format!("SURVIVED ({script})"),
        Fate::Unclear(script) => format!("UNCLEAR ({script})"),
    }
}

fn summarize(fates: &[(&Mutant, Fate)], spent: Duration) -> bool {
    let killed = fates.iter().filter(|(_, fate)| *fate == Fate::Killed);
    let killed = killed.count();
    say!(
        "{killed} of {} killed in {:.0} s",
        fates.len(),
        spent.as_secs_f64()
    );
    killed == fates.len()
}

fn fate_of(mutant: &Mutant, program: &Path, copy: &Path) -> Result<Fate, String> {
    for script in mutant.scripts {
        let ran = run_script(program, copy, script, Some(mutant.name))?;
        if ran.is_success {
            return Ok(Fate::Survived(script));
        }
        if !ran.output.contains(SUCCEEDED) {
            say!("{}", ran.output);
            return Ok(Fate::Unclear(script));
        }
    }
    Ok(Fate::Killed)
}

struct Ran {
    is_success: bool,
    output: String,
}

/// Runs one script, or all for an empty name, in a process of its own.
fn run_script(
    program: &Path,
    copy: &Path,
    script: &str,
    mutant: Option<&str>,
) -> Result<Ran, String> {
    let mut command = Command::new(program);
    if !script.is_empty() {
        command.args([script, "--exact"]);
    }
    let child = command
        .current_dir(copy.join("tree").join("crates").join("bauta-sim"))
        .envs(mutant.map(|name| (VARIABLE, name)))
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| format!("{}: {error}", program.display()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let readers = [reader(stdout), reader(stderr)];
    let begun = Instant::now();
    let limit = if script.is_empty() { 10 } else { 1 } * SCRIPT_TIME_MAX;
    let is_success = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status.success(),
            None if begun.elapsed() > limit => {
                child.kill().map_err(|error| error.to_string())?;
                child.wait().map_err(|error| error.to_string())?;
                break false;
            }
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    let output = readers.map(|reader| reader.join().unwrap_or_default());
    let output = output.concat();
    if !script.is_empty() && is_success && !output.contains("1 passed") {
        return Err(format!("there is no script {script}"));
    }
    Ok(Ran { is_success, output })
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut text).unwrap_or_default();
        }
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// Builds the scripts in the copy; where they are then.
fn build(copy: &Path) -> Result<PathBuf, String> {
    let output = Command::new(cargo())
        .current_dir(copy.join("tree"))
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .args([
            "test",
            "--package",
            "bauta-sim",
            "--test",
            "liars",
            "--no-run",
        ])
        .args(["--color", "never"])
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|error| format!("cargo does not start: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(format!("the mutants do not build:\n{told}"));
    }
    let path = told
        .lines()
        .filter(|line| line.trim_start().starts_with("Executable"))
        .filter_map(|line| line.rsplit_once('(')?.1.strip_suffix(')'))
        .next_back();
    let path = path.ok_or("cargo does not say where the scripts are")?;
    Ok(copy.join("tree").join(path))
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Brings the copy up to date with every file that is or could be under version control, with the mutants in it. A file
/// that is the same already is not touched.
fn copy_tree(workspace: &Path, copy: &Path) -> Result<(), String> {
    let files = source_files(workspace)?;
    let mut mutated = mutated_files(workspace)?;
    for file in &files {
        let contents = match mutated.remove(file.as_str()) {
            Some(text) => text.into_bytes(),
            None => fs::read(workspace.join(file)).map_err(|error| format!("{file}: {error}"))?,
        };
        let target = copy.join(file);
        if fs::read(&target).is_ok_and(|there| there == contents) {
            continue;
        }
        let folder = target.parent().unwrap_or(copy);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&target, contents));
        written.map_err(|error| format!("{}: {error}", target.display()))?;
    }
    match mutated.keys().next() {
        Some(file) => Err(format!("{file} is not under version control")),
        None => remove_others(copy, &files.iter().map(|file| copy.join(file)).collect()),
    }
}

/// Removes what has no counterpart any more: cargo would still build a test that was renamed.
fn remove_others(folder: &Path, files: &BTreeSet<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            remove_others(&path, files)?;
        } else if !files.contains(&path) {
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn source_files(workspace: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .current_dir(workspace)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output();
    let output = output.map_err(|error| format!("git does not start: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let names = String::from_utf8_lossy(&output.stdout);
    let exists = |name: &&str| workspace.join(name).is_file();
    let names = names.split('\0').filter(|name| !name.is_empty());
    Ok(names.filter(exists).map(str::to_owned).collect())
}

/// Every file that some mutant changes, with all of them in it.
fn mutated_files(workspace: &Path) -> Result<BTreeMap<&'static str, String>, String> {
    let mut files = BTreeMap::new();
    for (file, changes) in changes() {
        let text =
            fs::read_to_string(workspace.join(file)).map_err(|error| format!("{file}: {error}"))?;
        files.insert(
            file,
            with_changes(&text, &changes).map_err(|error| format!("{file}: {error}"))?,
        );
    }
    Ok(files)
}

/// The edits of each file, with their mutant's name.
fn changes() -> BTreeMap<&'static str, Vec<(&'static str, &'static Edit)>> {
    let mut changes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for mutant in MUTANTS {
        for edit in mutant.edits {
            let edits = changes.entry(edit.file).or_default();
            edits.push((mutant.name, edit));
        }
    }
    changes
}

/// The text with a choice in place of every expression that some mutant changes.
fn with_changes(text: &str, edits: &[(&str, &Edit)]) -> Result<String, String> {
    let mut spans: BTreeMap<(usize, usize), Vec<(&str, &str)>> = BTreeMap::new();
    for (mutant, edit) in edits {
        let choices = spans.entry(span(text, edit)?).or_default();
        choices.push((mutant, edit.replacement));
    }
    let (mut changed, mut done) = (String::new(), 0);
    for ((start, end), choices) in spans {
        if start < done {
            return Err(format!("two mutants overlap at `{}`", &text[start..end]));
        }
        changed.push_str(&text[done..start]);
        changed.push_str(&choice(&choices, &text[start..end]));
        done = end;
    }
    changed.push_str(&text[done..]);
    Ok(changed)
}

fn choice(choices: &[(&str, &str)], otherwise: &str) -> String {
    let mut text = String::from("(");
    for (mutant, replacement) in choices {
        write!(
            text,
            "if ::std::env::var_os({VARIABLE:?}).is_some_and(|name| name == {mutant:?}) {{ {replacement} }} else "
        )
        .unwrap_or_default();
    }
    text + "{ " + otherwise + " })"
}

/// Where an edit's expression stands.
fn span(text: &str, edit: &Edit) -> Result<(usize, usize), String> {
    let place = once(text, edit.place)?;
    let start = place + once(edit.place, edit.expression)?;
    Ok((start, start + edit.expression.len()))
}

fn once(text: &str, part: &str) -> Result<usize, String> {
    match text.match_indices(part).collect::<Vec<_>>().as_slice() {
        [(place, _)] => Ok(*place),
        found => Err(format!(
            "`{part}` stands there {} times, not once",
            found.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The module with what must succeed without liars.
    const HONEST: &str = "honest";

    /// Where the scripts are.
    const SCRIPTS: &str = "crates/bauta-sim/tests/liars";

    fn workspace() -> PathBuf {
        crate::workspace()
    }

    /// The attacks, as `module::script`.
    fn scripts() -> BTreeSet<String> {
        let mut scripts = BTreeSet::new();
        for entry in fs::read_dir(workspace().join(SCRIPTS)).expect("the scripts") {
            let path = entry.expect("readable").path();
            let module = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = fs::read_to_string(&path).expect("text");
            let names = text.split("#[tokio::test]\nasync fn ").skip(1);
            let names = names
                .filter_map(|rest| rest.split_once('('))
                .map(|(name, _)| name);
            scripts.extend(names.map(|name| format!("{module}::{name}")));
        }
        scripts.retain(|script| !script.starts_with(HONEST));
        scripts
    }

    #[test]
    fn every_mutant_fits_the_source_as_it_is() {
        mutated_files(&workspace()).unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn every_attack_has_a_mutant_and_every_mutant_an_attack() {
        let named: BTreeSet<String> = MUTANTS
            .iter()
            .flat_map(|mutant| mutant.scripts)
            .map(|script| (*script).to_owned())
            .collect();
        assert_eq!(scripts().difference(&named).collect::<Vec<_>>(), [""; 0]);
        assert_eq!(named.difference(&scripts()).collect::<Vec<_>>(), [""; 0]);
        assert!(MUTANTS.iter().all(|mutant| !mutant.scripts.is_empty()));
    }

    #[test]
    fn every_attack_stands_in_the_table_of_holes() {
        let table = fs::read_to_string(workspace().join("docs/protocol/holes.md"));
        let table = table.expect("the table");
        let missing: Vec<_> = scripts()
            .into_iter()
            .filter(|script| !table.contains(&format!("`{script}`")))
            .collect();
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn several_mutants_of_one_expression_become_one_choice() {
        let edit = |replacement| Edit {
            file: "",
            place: "if b && c {",
            expression: "b && c",
            replacement,
        };
        let (first, second) = (edit("b"), edit("c"));
        let text = with_changes("if b && c { d }", &[("x", &first), ("y", &second)]);
        let text = text.expect("fits");
        assert!(text.starts_with("if (if ::std::env::var_os(\"BAUTA_MUTANT\")"));
        assert!(text.ends_with("{ b && c }) { d }"));
        with_changes("if b && c { if b && c {", &[("x", &first)]).expect_err("twice");
        with_changes("nothing", &[("x", &first)]).expect_err("not there");
    }
}
