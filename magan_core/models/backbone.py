"""Backbones: five levels of features, from the shallowest to the deepest."""

from torch import Tensor, nn

from magan_core.errors import MaganError, nearest
from magan_core.models import efficientnet_lite
from magan_core.registry import find

SLIM = "slim_vgg"
OWN = {  # backbones of this project, called with the width; every other name is timm's
    SLIM: "magan_core.models.backbone:SlimVGG",
}
VGG_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions; conv1_2 ... conv5_3


class SlimVGG(nn.Module):
    """VGG-16's thirteen convolutions with batch norm and `width` times the channels, trained from scratch."""

    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self, width: float) -> None:
        super().__init__()
        self.channels = [max(4, int(channels * width)) for channels, _ in VGG_BLOCKS]
        self.strides = [1, 2, 4, 8, 16]
        self.blocks = nn.ModuleList()
        previous = 3
        for channels, (_, depth) in zip(self.channels, VGG_BLOCKS, strict=True):
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if self.blocks else []
            for _ in range(depth):
                layers += [
                    nn.Conv2d(previous, channels, 3, padding=1, bias=False),
                    nn.BatchNorm2d(channels),
                    nn.ReLU(inplace=True),
                ]
                previous = channels
            self.blocks.append(nn.Sequential(*layers))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images (B, 3, H, W) -> five feature maps at strides 1, 2, 4, 8, 16."""
        levels = []
        for block in self.blocks:
            images = block(images)
            levels.append(images)
        return levels


class TimmBackbone(nn.Module):
    """Any timm backbone with five feature levels, built without weights (see models.weights)."""

    def __init__(self, name: str) -> None:
        import timm  # here: it takes two seconds, which mapping with other backbones should not cost
        from timm.data import resolve_model_data_config

        super().__init__()
        plain, _, tag = name.partition(".")
        nearest(plain, [*OWN, *timm.list_models()], "backbone")
        if "." in name:
            known = [one.partition(".")[2] for one in timm.list_pretrained(f"{plain}.*")]
            nearest(tag, known, f"tag of timm's weights for {plain}")
        try:
            self.features = timm.create_model(name, features_only=True, out_indices=(0, 1, 2, 3, 4))
        except (IndexError, AssertionError, AttributeError, RuntimeError) as error:
            raise MaganError(
                f"backbone '{name}' has no pyramid of five feature levels in timm ({_why(name, error)}). "
                "Take one that has, for example vgg16, tf_efficientnet_lite0 or resnet50, or wrap it "
                "(docs/extending.md)."
            ) from error
        if self.features.pretrained_cfg.get("fixed_input_size"):
            side = self.features.pretrained_cfg["input_size"][1]
            raise MaganError(
                f"backbone '{name}' is one of a fixed size, {side} x {side} px, says timm; training and "
                "mapping take several. Take a convolutional network, for example resnet50."
            )
        self.channels = list(self.features.feature_info.channels())
        self.strides = list(self.features.feature_info.reduction())
        config = resolve_model_data_config(self.features)
        self.mean, self.std = config["mean"], config["std"]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images (B, 3, H, W) -> five feature maps, shallowest first."""
        return self.features(images)


def _why(name: str, error: Exception) -> str:
    """How many feature levels a timm model has, or else timm's own words."""
    import timm

    try:
        count = len(timm.create_model(name, features_only=True).feature_info)
    except (IndexError, AssertionError, AttributeError, RuntimeError):
        return str(error)
    return f"it has {count}" if count != 5 else str(error)


def build_backbone(name: str, *, width: float = 1.0, pooling: bool = True) -> nn.Module:
    """Backbone by name, without pretrained weights.

    name: one of OWN, such as `slim_vgg` (of `width` times VGG-16's channels), or a timm model with five
        feature levels, with or without the tag of its weights (`vgg16.tv_in1k`); tf_efficientnet_lite0 is
        built without timm, to the same bits.
    pooling: False leaves out VGG's poolings (the other reading of section III-A: about 25 times the cost).
    The result has `channels`, `strides`, `mean` and `std` (input normalisation).
    """
    if name in OWN:
        backbone: nn.Module = find(OWN[name], f"backbone '{name}'")(width)
        for key, count in (("channels", 5), ("strides", 5), ("mean", 3), ("std", 3)):
            if len(getattr(backbone, key, ())) != count:
                raise MaganError(
                    f"backbone '{name}' has {key} {getattr(backbone, key, 'missing')}; expected {count} "
                    f"numbers: set self.{key} in {OWN[name]}"
                )
    elif name in (efficientnet_lite.NAME, f"{efficientnet_lite.NAME}.in1k"):
        backbone = efficientnet_lite.EfficientNetLite0()
    else:
        backbone = TimmBackbone(name)
    if not pooling:
        poolings = [
            (parent, child)
            for parent in backbone.modules()
            for child, module in parent.named_children()
            if isinstance(module, nn.MaxPool2d)
        ]
        if backbone.strides != [2 ** len(poolings[:i]) for i in range(5)]:
            raise MaganError(
                f"backbone '{name}' cannot do without poolings: only VGG networks can. Set pooling: true."
            )
        for parent, child in poolings:
            setattr(parent, child, nn.Identity())
        backbone.strides = [1] * 5
    return backbone
