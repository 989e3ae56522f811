"""The settings for a run that exists: what it was begun with decides where it is, whatever is set by now."""

from dataclasses import replace

from backends.runs import Run
from backends.settings.sections import Settings


def as_begun(settings: Settings, run: Run) -> Settings:
    """With the run's image and, of one in an account, its number, region, bucket and prefix."""
    image = run.record.get("image")
    if run.record["backend"] != "sagemaker":
        return replace(settings, kennel=replace(settings.kennel, image=image or settings.kennel.image))
    noted = run.record.get("sagemaker", {})
    kept = {key: noted[key] for key in ("account", "region", "bucket", "prefix") if noted.get(key)}
    if image:
        kept["image"] = image
    return replace(settings, sagemaker=replace(settings.sagemaker, **kept))
