"""The other side of the interoperability tests: the C2SP implementation of the packages aics-tlog and aics-witness.

    aics.py vkey                                 prints the key of this script's log
    aics.py log URL VKEY                         runs a log of its own against the witness at URL
    aics.py verify FOLDER LOG QUORUM WITNESS...  verifies a log's public folder, its cosignatures and every leaf
"""

import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import aics_tlog as tlog
from aics_witness import feeder

ORIGIN = "aics.example/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def vkey():
    return tlog.format_vkey(tlog.vkey_from_ed25519(ORIGIN, KEY.public_key()))


def note(tree, size):
    checkpoint = tlog.Checkpoint(ORIGIN, size, tree.root(size))
    return tlog.sign_checkpoint(checkpoint, KEY, ORIGIN).to_bytes()


def log(url, witness):
    honest = tlog.MerkleTree([b"leaf %d" % n for n in range(300)])
    forked = tlog.MerkleTree([b"other %d" % n for n in range(300)])
    # The client verifies every cosignature that it gets, and that its time is now.
    client = feeder.WitnessClient(url, witness)
    sizes = (0, 1, 7, 7, 256, 257, 300, 300)
    for size in sizes:
        client.submit(note(honest, size), honest.consistency_proof)
    # One that knows nothing asks from size 0, hears of the conflict, and proves from there.
    late = feeder.WitnessClient(url, witness)
    late.submit(note(honest, 300), honest.consistency_proof)
    for tree, size, expected in (
        (honest, 200, feeder.WitnessAhead),
        (forked, 300, feeder.WitnessRejected),
    ):
        try:
            late.submit(note(tree, size), tree.consistency_proof)
        except expected as error:
            print("refused as it should be:", error)
        else:
            raise SystemExit("the witness cosigned what it must not")
    print("cosigned", len(sizes))


def verify(folder, log_vkey, quorum, *witnesses):
    signed = tlog.parse_note(open(folder + "/checkpoint", "rb").read())
    keys = [tlog.parse_vkey(key) for key in witnesses]
    log_key = tlog.parse_vkey(log_vkey)
    checked = tlog.verify_checkpoint(signed, log_key, keys, int(quorum), max_age_seconds=60)
    if not checked.ok:
        raise SystemExit(f"the checkpoint does not verify: {checked.error}")
    checkpoint = tlog.parse_checkpoint(signed.text)
    reader = tlog.FileSystemTileReader(folder)
    for index in range(checkpoint.size):
        width = min(256, checkpoint.size - index // 256 * 256)
        entry = tlog.read_entry(reader, index, width)
        proof = tlog.inclusion_proof_from_tiles(reader, index, checkpoint.size)
        leaf = tlog.leaf_hash(entry)
        if not tlog.verify_inclusion(leaf, index, checkpoint.size, proof, checkpoint.root):
            raise SystemExit(f"leaf {index} is not in the tree")
    print("verified", checkpoint.size)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "vkey":
        print(vkey())
    else:
        {"log": log, "verify": verify}[command](*arguments)
