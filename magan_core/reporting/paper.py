"""What the paper says in its tables and figures, in our words: shown beside our own results."""

from typing import NamedTuple


class Said(NamedTuple):
    """title: what is shown; claim: what the paper concludes from it."""

    title: str
    claim: str


TABLES = {
    "I": (
        "MANet already does better than earlier methods on most measures, adversarial training (MA-GANet) "
        "improves on it and leads the fully supervised methods on all three data sets, and unlabelled "
        "photographs (MA-GANet-s) add a little more. CTCUG is the hardest set for everyone. (In the table "
        "itself it is in F-beta; ten of the thirteen methods tested there are better in another score than "
        "on Shi's or DUT. On DUT MANet is ahead of MA-GANet in AUC, and DefuNetV2 level with it in AUFβ; on "
        "Shi's IoU falls with unlabelled photographs.)"
    ),
    "II": (
        "MA-GANet takes about 0.05 to 0.06 s on one Titan Xp (15 to 20 images a second); hand-made methods "
        "take from seconds to many minutes on a CPU."
    ),
    "III": (
        "MANet and MA-GANet are ahead of BTBNet, CENet and DD with a large margin. (In the table itself DD "
        "is ahead of MANet on four of the five measures.)"
    ),
    "IV": (
        "Every part helps in all scores: low-level features most (MAE −0.03), channel attention on either "
        "group, and spatial attention (MAE −0.01); adversarial training and unlabelled photographs help "
        "further. (In the table itself IoU and AUFβ fall with the first channel attention, and with spatial "
        "attention alone.)"
    ),
    "V": (
        "The IoU loss complements cross entropy, and a small adversarial weight of 0.001 is best, above all "
        "for MAE and the area under the F-beta curve. (In the table itself IoU is best with five times the "
        "IoU loss, AUC with cross entropy alone or an adversarial weight of 0.01.)"
    ),
    "VI": (
        "70×70 patches are best; the largest, 256×256, is inferior (in the table itself the worst in all but "
        "AUC), perhaps because its many parameters are hard to train."
    ),
}
FIGURES = {
    "figure_1": Said(
        "Clutter in the background",
        "Earlier methods take a cluttered, blurred background for focus; MA-GANet suppresses it.",
    ),
    "figure_2": Said(
        "MANet",
        "A pretrained VGG-16 gives five levels; the deeper three and the shallower two go through "
        "channel attention separately, the deep group tells the shallow one where to look, and both are "
        "fused.",
    ),
    "figure_3": Said(
        "Channel attention",
        "Channels that resemble each other strengthen each other; the learned scale starts at zero, so "
        "that the module starts without any influence.",
    ),
    "figure_4": Said(
        "Spatial attention",
        "Atrous convolutions widen the view at no extra cost; the resulting weights suppress low-level "
        "detail in blurred clutter.",
    ),
    "figure_5": Said(
        "Pixels in and out of focus",
        "The classes are unbalanced, with out-of-focus pixels in the majority, which is the reason for "
        "the IoU loss.",
    ),
    "figure_6": Said(
        "MA-GANet",
        "A conditional patch discriminator learns what true maps look like beside their photographs, "
        "and so acts as a structured loss against artefacts.",
    ),
    "figure_7": Said(
        "Precision-recall, F-beta and ROC curves",
        "MANet's curves lie clearly above those of earlier methods and MA-GANet's above all; its F-beta "
        "stays high over a wide range of thresholds. (In Table I DefuNetV2 is ahead of MANet on DUT in "
        "F-beta and AUFβ, and DD on CTCUG in F-beta.)",
    ),
    "figure_8": Said(
        "Maps of all methods",
        "Hand-made methods give noisy or ambiguous maps, earlier networks fail on clutter and low "
        "contrast; MANet is clearer, MA-GANet removes artefacts, and MA-GANet-s comes closest to the "
        "ground truth.",
    ),
    "figure_9": Said(
        "Maps with and without each part",
        "Without spatial attention, background clutter leaks in and boundaries blur; without channel "
        "attention, in-focus regions of low contrast are lost; adversarial training sharpens "
        "boundaries.",
    ),
    "figure_10": Said(
        "Distribution of map values",
        "MA-GANet's maps are closer to black and white than MANet's: adversarial training fits the "
        "distribution of true maps.",
    ),
    "training_curves": Said(
        "Training curves",
        "Not in the paper: here so that one can see how far training went.",
    ),
}

EPOCHS = 1000  # section IV-C
COUNTS = {  # photographs to train, to test, without masks: section IV-A, Zhao's split by its authors' lists
    "shi": {"train": 604, "test": 100},
    "zhao": {"train": 604, "test": 100},
    "dut": {"train": 600, "test": 500},
    "ctcug": {"test": 150},
    "frd": {"unlabelled": 5000},
}
PHOTOGRAPHS = ("figure_1", "figure_8", "figure_9")  # figures that show some
