// Verifies the public folder of a log with the Go implementation of notes and transparency logs (golang.org/x/mod):
// the log's signature, the cosignatures that are there, and inclusion proofs from its tiles, of up to 2,000 entries all.
//
//	go build && ./verify FOLDER LOG WITNESS...
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
	time uint64
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }
func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	c.time = binary.BigEndian.Uint64(sig)
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", c.time, msg)
	return ed25519.Verify(c.key, []byte(signed), sig[8:])
}

func parseCosigner(vkey string) *cosigner {
	parts := strings.SplitN(vkey, "+", 3)
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	check(err)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	check(err)
	if key[0] != 4 {
		panic("not a cosigner")
	}
	return &cosigner{parts[0], uint32(hash), key[1:], 0}
}

type files string

func (f files) Height() int { return 8 }
func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		path := strings.Replace(t.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}
func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

func check(err error) {
	if err != nil {
		fmt.Println("FAILED", err)
		os.Exit(1)
	}
}

func main() {
	folder := os.Args[1]
	log, err := note.NewVerifier(os.Args[2])
	check(err)
	verifiers := []note.Verifier{log}
	for _, v := range os.Args[3:] {
		verifiers = append(verifiers, parseCosigner(v))
	}
	text, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	check(err)
	n, err := note.Open(text, note.VerifierList(verifiers...))
	check(err)
	lines := strings.Split(n.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := tlog.ParseHash(lines[2])
	check(err)
	tree := tlog.Tree{N: size, Hash: root}
	reader := tlog.TileHashReader(tree, files(folder))
	var entries [][]byte
	for first := int64(0); first < size; first += 256 {
		width := size - first
		path := fmt.Sprintf("tile/entries/%03d", first/256%1000)
		if first/256 >= 1000 {
			path = fmt.Sprintf("tile/entries/x%03d/%03d", first/256/1000, first/256%1000)
		}
		if width < 256 {
			path += fmt.Sprintf(".p/%d", width)
		}
		data, err := os.ReadFile(filepath.Join(folder, path))
		check(err)
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			entries = append(entries, data[2:2+length])
			data = data[2+length:]
		}
	}
	if int64(len(entries)) != size {
		panic("entries are missing")
	}
	step := int64(1)
	if size > 2000 {
		step = size / 1000
	}
	checked := 0
	for i := int64(0); i < size; i += step {
		proof, err := tlog.ProveRecord(size, i, reader)
		check(err)
		check(tlog.CheckRecord(proof, size, root, i, tlog.RecordHash(entries[i])))
		checked++
	}
	fmt.Println("verified", len(n.Sigs), "signatures,", size, "entries,", checked, "inclusion proofs")
}
