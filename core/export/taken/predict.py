"""Say what is on photos: python predict.py PHOTO ...   One JSON object a line. Needs onnxruntime, numpy and pillow."""
import io, json, sys
from pathlib import Path
import numpy as np
import onnxruntime
from PIL import Image
GRAFT = json.loads(Path(__file__).with_name("graft.json").read_text("utf-8"))
LABELS, LIMIT, SEE = GRAFT["labels"], GRAFT["unknown_limit"], GRAFT["preprocessing"]
MODEL = onnxruntime.InferenceSession(str(Path(__file__).with_name("model.onnx")), providers=["CPUExecutionProvider"])
Image.MAX_IMAGE_PIXELS = 250_000_000
def pixels(path):
    """What the model sees of a photo: upright, RGB, over white, 8 bit, its middle, normalised; (3, crop, crop)."""
    image, resize, crop = Image.open(io.BytesIO(Path(path).read_bytes())), SEE["resize"], SEE["crop"]
    if min(image.size) < SEE["min_side"] or max(image.size) > SEE["max_aspect"] * min(image.size):
        raise ValueError(f"{image.width} x {image.height} pixels: too small or too narrow")
    image.draft(None, (resize, resize))  # a large JPEG is made smaller while it is decoded
    image.load()
    turn = SEE["exif_turns"].get(str(image.getexif().get(274)))
    if (deep := image.mode.startswith("I;16")) or image.mode in ("I", "F"):
        most = 65535 if deep else image.getextrema()[1]
        factor = 255.0 / next((white for white in (1, 255, 65535) if most <= white), most)
        image = (image.convert("I") if deep else image).point(lambda value: value * factor + 0).convert("L")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        above, image = image.convert("RGBA"), Image.new("RGB", image.size, "white")
        image.paste(above, mask=above)
    image = image.convert("RGB").transpose(Image.Transpose[turn]) if turn else image.convert("RGB")
    x, y = ((length - min(image.size)) // 2 for length in image.size)
    box, how = (x, y, x + min(image.size), y + min(image.size)), Image.Resampling[SEE["interpolation"].upper()]
    seen = image.resize((resize, resize), how, box).crop(2 * ((resize - crop) // 2,) + 2 * ((resize + crop) // 2,))
    return ((np.asarray(seen, np.float32) / 255 - np.float32(SEE["mean"])) / np.float32(SEE["std"])).transpose(2, 0, 1)
def answer(path):
    chances, _, strange = (output[0] for output in MODEL.run(None, {"pixels": pixels(path)[None]}))
    top = [{"label": LABELS[i], "confidence": float(chances[i])} for i in np.argsort(-chances, kind="stable")[:5]]
    return {"path": str(path), **top[0], "top": top, "unknown": LIMIT is not None and bool(strange > LIMIT)}
for photo in sys.argv[1:] if __name__ == "__main__" else ():
    try:
        print(json.dumps(answer(photo)))
    except Exception as error:
        said = {"path": photo, "label": None, "confidence": None, "top": [], "unknown": False, "error": str(error)}
        print(json.dumps(said))
