# SPDX-License-Identifier: MIT
import gzip
import hashlib
import io
import struct
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydarts.data import datasets
from pydarts.data.datasets import FASHION_MNIST, Dataset, load
from pydarts.data.untrusted import PIECE

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (6, 8, 8), np.uint8)
Y = np.array([0, 1, 2, 0, 1, 2], np.uint8)
MB = 1 << 20

# One test function serves many examples: each writes its own files anew.
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def idx(array, code=8, shape=None):
    shape = array.shape if shape is None else shape
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + array.tobytes()


def idx_folder(folder, images, labels, part="train", sep="-", zipped=False):
    for kind, data in ((f"images{sep}idx3", images), (f"labels{sep}idx1", labels)):
        path = folder / f"{part}-{kind}-ubyte{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(data, 1) if zipped else data)
    return folder


def cifar(labels):
    records = RNG.integers(0, 256, (len(labels), 3073), np.uint8)
    records[:, 0] = labels
    return records


def npz(path, save=np.savez, **arrays):
    save(path, **arrays)
    return path


def npy_header(descr, shape, fortran=False):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": descr, "fortran_order": fortran, "shape": shape}
    )
    return out.getvalue()


def refused(path, *words, below=8 * MB):
    """`load` must refuse, name the file and the words, and spend little memory on it."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as error:
            load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = str(error.value)
    for word in (str(path), *words):
        assert word in message
    assert peak < below
    return message


def same(dataset, X, y, X_test=None, y_test=None):
    np.testing.assert_array_equal(dataset.X_train, X)
    np.testing.assert_array_equal(dataset.y_train, y)
    assert (dataset.X_test is None) == (dataset.y_test is None) == (X_test is None)
    if X_test is not None:
        np.testing.assert_array_equal(dataset.X_test, X_test)
        np.testing.assert_array_equal(dataset.y_test, y_test)


# IDX


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("sep", ["-", "."])
def test_idx(tmp_path, zipped, sep):
    idx_folder(tmp_path, idx(X), idx(Y), sep=sep, zipped=zipped)
    same(load(str(tmp_path)), X, Y)
    idx_folder(tmp_path, idx(X[:2]), idx(Y[:2]), "t10k", sep, zipped)
    same(load(tmp_path), X, Y, X[:2], Y[:2])


@pytest.mark.parametrize(
    ("code", "dtype"), [(9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]
)
def test_idx_types(tmp_path, code, dtype):
    values = (X.astype(np.float64) - 100).astype(dtype)
    dataset = load(idx_folder(tmp_path, idx(values, code), idx(Y)))
    same(dataset, values, Y)
    assert dataset.X_train.dtype.isnative
    assert dataset.X_train.flags.writeable


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("which", ["images", "labels"])
@many
@given(data=st.data())
def test_idx_cut_anywhere(tmp_path, zipped, which, data):
    idx_folder(tmp_path, idx(X), idx(Y), zipped=zipped)
    path = next(tmp_path.glob(f"*{which}*"))
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError, match=r"ubyte") as error:
        load(tmp_path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_with_too_much(tmp_path, zipped):
    refused(idx_folder(tmp_path, idx(X) + b"!", idx(Y), zipped=zipped), "384 bytes", "images-idx3")


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_with_too_much_just_where_a_piece_ends(tmp_path, zipped):
    images = RNG.integers(0, 256, (PIECE // 64, 8, 8), np.uint8)
    idx_folder(tmp_path, idx(images), idx(Y), zipped=zipped)
    refused(tmp_path, f"{len(images)} images")  # whole, but more than there are labels
    refused(idx_folder(tmp_path, idx(images) + b"!", idx(Y), zipped=zipped), "more")


def test_idx_without_images(tmp_path):
    refused(idx_folder(tmp_path, idx(X[:0]), idx(Y[:0])), "0x8x8", "must hold something")


def test_idx_tells_claimed_and_found(tmp_path):
    idx_folder(tmp_path, idx(X, shape=(7, 8, 8)), idx(Y))
    refused(tmp_path, "train-images-idx3-ubyte", "7x8x8", "448 bytes", "384")


@pytest.mark.parametrize(
    "shape",
    [(60000, 28, 28), (2**32 - 1,) * 3, (2**32 - 1,) * 4, (0, 8, 8), (2**31, 2**33 % 2**32, 1)],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_that_lies_is_refused_for_free(tmp_path, shape, zipped):
    idx_folder(tmp_path, idx(X, shape=shape), idx(Y), zipped=zipped)
    refused(tmp_path, "images-idx3-ubyte", "x".join(map(str, shape)), below=MB)


def test_gzip_that_could_hold_the_claim_but_does_not(tmp_path):
    """A megabyte that cannot be compressed, said to be 900: believed only as far as it goes."""
    noise = RNG.integers(0, 256, MB, np.uint8)
    idx_folder(tmp_path, idx(noise, shape=(900, 1024, 1024)), idx(Y), zipped=True)
    refused(tmp_path, "900x1024x1024", f"{MB:,}")


def test_gzip_bomb_is_read_no_further_than_claimed(tmp_path):
    bomb = np.zeros(64 * MB, np.uint8)
    refused(idx_folder(tmp_path, idx(bomb, shape=(6, 8, 8)), idx(Y), zipped=True), "more")


@pytest.mark.parametrize("magic", [b"\x89PNG", b"\0\0\x07\x03", b"\0\1\x08\x03", b""])
def test_not_idx(tmp_path, magic):
    refused(idx_folder(tmp_path, magic + idx(X)[4:] if magic else magic, idx(Y)), repr(magic))


def test_labels_where_images_should_be(tmp_path):
    refused(idx_folder(tmp_path, idx(Y), idx(Y)), "(6,)")


def test_idx_of_different_lengths(tmp_path):
    refused(idx_folder(tmp_path, idx(X), idx(Y[:5])), "6 images", "5 labels")


def test_idx_test_set_of_another_size(tmp_path):
    idx_folder(tmp_path, idx(X), idx(Y))
    refused(idx_folder(tmp_path, idx(X[:, :7]), idx(Y), "t10k"), "(7, 8)", "(8, 8)")


def test_half_a_pair(tmp_path):
    idx_folder(tmp_path, idx(X), idx(Y))
    idx_folder(tmp_path, idx(X), idx(Y), "t10k")
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    refused(tmp_path, "come together")
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="train-labels-idx1-ubyte"):
        load(tmp_path)


# npz


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "y", [Y, Y.astype(float), Y.astype("U3"), Y > 1], ids=lambda y: y.dtype.kind
)
def test_npz(tmp_path, save, y):
    images = np.asfortranarray(RNG.random((6, 3, 8, 8)).astype(">f4"))
    same(load(npz(tmp_path / "a.npz", save, X=images, y=y, extra=y)), images, y)
    path = npz(tmp_path / "b.npz", save, X=images, y=y, X_test=images[:2], y_test=y[:2])
    same(load(path), images, y, images[:2], y[:2])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@many
@given(data=st.data())
def test_damaged_npz(tmp_path, save, data):
    """Cut, it is always refused; with a byte changed, it is refused or its arrays are whole."""
    path = npz(tmp_path / "a.npz", save, X=X, y=Y)
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:at])
    refused(path)
    whole[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    try:
        dataset = load(path)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        same(dataset, X, Y)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    ("descr", "shape"),
    [
        ("|u1", (10**12,)),
        ("<f8", (2**62, 4)),
        ("|u1", (-2, -192)),
        ("|u1", (0, 10**9)),
        ("<U0", (10**9,)),
        ("|u1", (5, 8, 8)),
        ("|O", (6, 8, 8)),
        ("<M8[s]", (6, 8)),
        ("|V384", (1,)),
    ],
)
def test_npz_that_lies_is_refused_for_free(tmp_path, method, descr, shape):
    path = npz(tmp_path / "a.npz", y=Y)
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("X.npy", npy_header(descr, shape) + X.tobytes())
    refused(path, "X.npy", below=MB)


def test_npz_that_could_hold_the_claim_but_does_not(tmp_path):
    """The archive's directory and the header agree on 900 MB; there is one."""
    header, noise = npy_header("|u1", (900, 1024, 1024)), RNG.bytes(MB)
    path = npz(tmp_path / "a.npz", y=Y)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", header + noise)
        archive.getinfo("X.npy").file_size = len(header) + 900 * MB
    assert zipfile.ZipFile(path).getinfo("X.npy").file_size > 900 * MB
    refused(path, "X.npy", "900x1024x1024")


@pytest.mark.parametrize("directory", [0, 900 * MB])
def test_npz_claim_is_held_against_both_sizes(tmp_path, directory):
    """The size that the archive's directory gives, and what the compressed bytes can become."""
    content = npy_header("|u1", (900, 1024, 1024)) + X.tobytes()
    path = npz(tmp_path / "a.npz", y=Y)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", content)
        info = archive.getinfo("X.npy")
        info.file_size += directory
    room = 1032 * info.compress_size if directory else X.nbytes
    refused(path, "X.npy", f"{900 * MB:,} bytes", f"no more than {room:,}", below=MB)


def test_npy_header_bomb(tmp_path):
    """A version 2 header may be 4 GB long, and spaces deflate a thousandfold."""
    path = npz(tmp_path / "a.npz", y=Y)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        magic = np.lib.format.magic(2, 0) + struct.pack("<I", 64 * MB)
        archive.writestr("X.npy", magic + b" " * (64 * MB))
    refused(path, below=MB)


@pytest.mark.parametrize("header", [b"(" * 9000, b"{", b"\xff\xff", b"{'descr': 1}", b"[" * 200])
def test_npy_header_of_nonsense(tmp_path, header):
    path = npz(tmp_path / "a.npz", y=Y)
    with zipfile.ZipFile(path, "a") as archive:
        magic = np.lib.format.magic(1, 0) + struct.pack("<H", len(header))
        archive.writestr("X.npy", magic + header)
    refused(path)


def test_npz_of_objects(tmp_path):
    path = npz(tmp_path / "a.npz", X=X, y=np.array([{}] * 6, object))
    refused(path, "y.npy", "object")


def test_npz_compressed_otherwise(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("X.npy", npy_header("|u1", X.shape) + X.tobytes())
        archive.writestr("y.npy", npy_header("|u1", Y.shape) + Y.tobytes())
    refused(tmp_path / "a.npz", "X.npy")


def test_npz_lacks_arrays(tmp_path):
    refused(npz(tmp_path / "a.npz", images=X, y=Y), "'X' and 'y'", "'images'")
    refused(npz(tmp_path / "b.npz", X=X, y=Y, X_test=X), "(X_test)", "(y_test) must come together")
    refused(npz(tmp_path / "c.npz", X=X, y=Y[:5]), "6 images", "5 labels")
    refused(npz(tmp_path / "d.npz", X=X, y=Y, X_test=X, y_test=Y[:4]), "6 images", "4 labels")


# CIFAR-10


def test_cifar(tmp_path):
    batches = {i: cifar(RNG.integers(0, 10, 4)) for i in (2, 4)}
    for i, records in batches.items():
        records.tofile(tmp_path / f"data_batch_{i}.bin")
    records = np.concatenate([batches[2], batches[4]])
    same(load(tmp_path), records[:, 1:].reshape(8, 3, 32, 32), records[:, 0])
    test = cifar([9, 0])
    test.tofile(tmp_path / "test_batch.bin")
    names = [f"class{i}" for i in range(10)]
    (tmp_path / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    dataset = load(tmp_path)
    assert dataset.y_train.tolist() == [names[i] for i in records[:, 0]]
    assert dataset.y_test.tolist() == ["class9", "class0"]
    np.testing.assert_array_equal(dataset.X_test[0, 2, 31, 31], test[0, -1])
    assert "2 of 5" in dataset.description


@pytest.mark.parametrize("size", [0, 1, 3072, 3074, 2 * 3073 - 1])
def test_cifar_cut(tmp_path, size):
    (tmp_path / "data_batch_1.bin").write_bytes(cifar([1, 2, 3]).tobytes()[:size])
    refused(tmp_path, "data_batch_1.bin", f"{size:,} bytes", "3,073")


def test_cifar_label_beyond_nine(tmp_path):
    cifar([1, 2]).tofile(tmp_path / "data_batch_1.bin")
    cifar([3, 10]).tofile(tmp_path / "test_batch.bin")
    refused(tmp_path, "test_batch.bin", "record 1", "label 10")


@pytest.mark.parametrize("text", [b"cat dog", b"cat " * 10, b"", b"\xff"])
def test_cifar_class_names(tmp_path, text):
    cifar([1, 2]).tofile(tmp_path / "data_batch_1.bin")
    (tmp_path / "batches.meta.txt").write_bytes(text)
    refused(tmp_path, "batches.meta.txt")


# By name


def test_digits():
    sklearn = pytest.importorskip("sklearn.datasets")
    everything = sklearn.load_digits()
    dataset = load("digits")
    assert dataset.X_train.dtype == np.uint8
    images = np.concatenate([dataset.X_train, dataset.X_test])
    labels = np.concatenate([dataset.y_train, dataset.y_test])
    assert sorted(zip(map(bytes, images), labels, strict=True)) == sorted(
        zip(map(bytes, everything.images.astype(np.uint8)), everything.target, strict=True)
    )
    assert len(dataset.X_test) == 359
    np.testing.assert_allclose(np.bincount(dataset.y_test), np.bincount(labels) / 5, atol=1)


def test_digits_test_set_is_fixed():
    """Figures in the README are of these images: neither numpy nor we may change the choice."""
    pytest.importorskip("sklearn")
    digest = hashlib.sha256(load("digits").X_test.tobytes()).hexdigest()
    assert digest[:16] == "40fcf5680ef602bc"


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'pydarts-nas\[demo\]'"):
        load("digits")


@pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason="needs the package dataset-fashion-mnist")
def test_fashion_mnist():
    dataset = load("fashion-mnist")
    assert dataset.X_train.shape == (60000, 28, 28)
    assert dataset.X_test.shape == (10000, 28, 28)
    assert np.bincount(dataset.y_train).tolist() == [6000] * 10
    assert np.bincount(dataset.y_test).tolist() == [1000] * 10


def test_fashion_mnist_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "FASHION_MNIST", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"apt-get install dataset-fashion-mnist"):
        load("fashion-mnist")
    monkeypatch.setattr(datasets, "FASHION_MNIST", idx_folder(tmp_path, idx(X), idx(Y)))
    assert load("fashion-mnist").name == "fashion-mnist"


def test_no_such_dataset(tmp_path):
    with pytest.raises(FileNotFoundError, match="'digit'"):
        load("digit")
    with pytest.raises(FileNotFoundError, match=r"a\.npz': there is no such file .* aeon:NAME"):
        load(tmp_path / "a.npz")
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"a\.csv"):
        load(tmp_path / "a.csv")
    with pytest.raises(TypeError, match=r"`source` \(=3\) must be a name, a path or a data set"):
        load(3)


def test_folder_that_is_not_understood(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no files; .* \.webp .* NAME_TRAIN\.ts"):
        load(tmp_path)
    for name in ("a/1.tif", "a/2.tif", "b/1.tif", ".hidden", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=r"holds 3 \.tif files, such as a/1\.tif, and noth"):
        load(tmp_path)
    inner = tmp_path / "deep" / "er"
    for label in "abc":
        (inner / label).mkdir(parents=True)
        for number in range(3):
            (inner / label / f"{number}.wav").touch()
    words = rf"9 \.wav files, such as deep/er/a/0\.wav, too deep: it may be that {inner} is meant;"
    with pytest.raises(FileNotFoundError, match=words):
        load(tmp_path)


@pytest.mark.parametrize("option", [{"image_size": 14}, {"on_bad": "skip"}])
def test_options_of_files_where_there_are_none(tmp_path, option):
    folder = tmp_path / "arrays"
    folder.mkdir()
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", Y)
    for source in (npz(tmp_path / "a.npz", X=X, y=Y), folder):
        with pytest.raises(ValueError, match=rf"`{next(iter(option))}` .*has no use with {source}"):
            load(source, **option)
    assert load(folder, on_bad="raise").X_train.shape == X.shape


def test_dataset_prints_in_a_line():
    text = repr(Dataset("mine", X, Y, description="six images"))
    assert text == "Dataset(name='mine', description='six images')"
