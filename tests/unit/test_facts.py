"""What is measured of a photo, against photos whose light, blur and EXIF are known."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from core.data.facts import SIDE, Facts, measure, read_facts, write_facts
from core.data.image import open_photo
from core.data.scan import scan
from core.data.store import Dataset
from tests.photos import draw, make_folder


def facts_of(image: Image.Image, kind: str = "PNG", **options) -> Facts:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return measure(open_photo(file.getvalue(), SIDE))


def with_exif(values: dict[int, object], details: dict[int, object] | None = None) -> Facts:
    exif = Image.Exif()
    for tag, value in values.items():
        exif[tag] = value
    exif.get_ifd(0x8769).update(details or {})
    return facts_of(draw("circle", 1), "JPEG", exif=exif)


def scenery(width: int = 400, height: int = 300, seed: int = 0) -> Image.Image:
    """Detail of every size, as photos have: noise whose strength falls with its frequency."""
    random = np.random.default_rng(seed)
    waves = np.fft.rfft2(random.normal(size=(height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    picture = np.fft.irfft2(waves / np.maximum(frequency, 1 / width), (height, width))
    return Image.fromarray(np.uint8(np.clip(128 + 50 * picture / picture.std(), 0, 255))).convert("RGB")


def test_light_is_that_of_a_worked_example():
    half = np.zeros((200, 200, 3), np.uint8)
    half[:, 100:] = 255
    facts = facts_of(Image.fromarray(half))
    assert facts.brightness == pytest.approx(0.5, abs=0.01)
    assert facts.contrast == pytest.approx(0.5, abs=0.01)
    assert facts.white == 1.0
    assert facts.kind == "PNG"


def test_the_border_is_the_colour_around_the_thing():
    picture = Image.new("RGB", (300, 200), (255, 0, 51))
    picture.paste((0, 255, 0), (60, 40, 240, 160))
    assert facts_of(picture).border == pytest.approx((1.0, 0.0, 0.2), abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_blurring_a_photo_lowers_its_sharpness_and_dulling_it_does_not(seed):
    sharp = scenery(seed=seed)
    dull = sharp.point(lambda value: value // 3 + 80)
    blurred = sharp.filter(ImageFilter.GaussianBlur(4))
    assert facts_of(blurred).sharpness < 0.7 * facts_of(sharp).sharpness
    assert facts_of(dull).sharpness == pytest.approx(facts_of(sharp).sharpness, rel=0.1)


def test_a_mirror_image_has_the_mirrored_hash():
    one, other = facts_of(scenery()), facts_of(scenery().transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert (one.look, one.mirrored) == (other.mirrored, other.look)
    assert one.look != one.mirrored


def test_camera_time_and_turn_are_read_from_exif():
    facts = with_exif({0x010F: "Canon", 0x0110: "Canon EOS 5D", 0x0112: 6}, {0x9003: "2026:11:21 13:25:00"})
    assert (facts.camera, facts.taken, facts.turned) == ("Canon EOS 5D", "2026-11-21T13:25:00", True)
    assert with_exif({0x010F: "FUJIFILM", 0x0110: "X-T5"}).camera == "FUJIFILM X-T5"
    assert with_exif({0x0112: 1}).turned is False


@pytest.mark.parametrize(
    "time", ["0000:00:00 00:00:00", "2026:13:41 25:61:00", "yesterday", "", "２０２６:11:21 13:25:00\x00"]
)
def test_a_time_that_makes_no_sense_is_none(time):
    assert with_exif({}, {0x9003: time}).taken in (None, "2026-11-21T13:25:00")
    assert with_exif({0x0112: 1}, {0x9003: time}).camera is None


def test_a_hostile_camera_name_becomes_one_short_line():
    camera = with_exif({0x0110: "evil\x00\x1b[31m\n‮<script>" + "A" * 5000}).camera
    assert camera is not None
    assert len(camera) <= 60
    assert camera.isprintable()


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_a_damaged_exif_block_never_raises(cut):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Canon", "EOS", 6
    exif.get_ifd(0x8769)[0x9003] = "2026:11:21 13:25:00"
    block = bytearray(exif.tobytes())
    block[8 + cut : 11 + cut] = b"\xff\xff\xff"
    assert facts_of(draw("circle", 1), "JPEG", exif=bytes(block)).kind == "JPEG"


def test_facts_come_back_from_disk_as_they_were(tmp_path):
    measured: dict[str, Facts] = {}
    report = scan(make_folder(tmp_path / "photos", per_class=3), facts=measured)
    dataset = Dataset(tmp_path, "photos", "upload", 0.0, tmp_path / "photos")
    assert read_facts(dataset) == {}
    write_facts(dataset, measured)
    assert read_facts(dataset) == measured
    assert set(measured) == {photo.sha256 for photo in report.photos}
    assert read_facts(dataset) is read_facts(dataset)
    name, first = next(iter(measured.items()))
    write_facts(dataset, {name: replace(first, camera="other")})
    assert read_facts(dataset)[name].camera == "other"


def test_a_large_jpeg_measures_the_same_at_any_scale_of_decoding():
    file = io.BytesIO()
    scenery(1600, 1200).save(file, "JPEG", quality=95)
    quick, whole = (measure(open_photo(file.getvalue(), side)) for side in (SIDE, None))
    assert quick.brightness == pytest.approx(whole.brightness, abs=0.01)
    assert quick.sharpness == pytest.approx(whole.sharpness, rel=0.1)
    assert bin(int(quick.look, 16) ^ int(whole.look, 16)).count("1") <= 2
