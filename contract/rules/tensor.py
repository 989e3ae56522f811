"""The rules that judge tensors, with the names, parameters and defaults of SageMaker Debugger's built-in ones."""

from typing import Final

from contract.rules.spec import Parameter, RuleSpec

_REGEX: Final = "regular expressions of the tensors to judge, separated by commas; empty: the rule's own choice"

_RULES: Final = (
    RuleSpec(
        "LossNotDecreasing",
        "the loss falls by less than diff_percent in num_steps steps and stays where it began, or rises by more than "
        "increase_threshold_percent",
        "Change lr: lower it if the loss rises or jumps, raise it if the loss hardly moves. Check the labels.",
        "warning",
        {
            "tensor_regex": Parameter("", _REGEX),
            "use_losses_collection": Parameter(True, "judge the tensors of the losses collection"),
            "num_steps": Parameter(
                10, "steps over which losses are averaged, at least, before they are compared", low=1
            ),
            "diff_percent": Parameter(0.1, "by how many percent the loss must fall in num_steps steps", 0, 100),
            "increase_threshold_percent": Parameter(
                5.0, "by how many percent it may rise from one judgement to the next", 0
            ),
            "mode": Parameter("GLOBAL", "TRAIN or EVAL: whose losses are judged; GLOBAL: those of training, else all"),
        },
    ),
    RuleSpec(
        "VanishingGradient",
        "the mean absolute gradient of a weight is below the threshold",
        "Start from pretrained weights, use ReLU and batch normalisation instead of sigmoid and tanh, or raise lr.",
        "warning",
        {"threshold": Parameter(1e-7, "least mean absolute gradient", low=0), "tensor_regex": Parameter("", _REGEX)},
    ),
    RuleSpec(
        "ExplodingTensor",
        "a tensor holds NaN or an infinite value",
        "Lower lr, set grad_clip=1, or look for broken images.",
        "error",
        {
            "only_nan": Parameter(False, "judge NaN alone, not infinities"),
            "tensor_regex": Parameter("", _REGEX),
            "collection_names": Parameter("", "collections to judge, separated by commas; empty: all tensors"),
        },
    ),
    RuleSpec(
        "Overfit",
        "(validation loss - training loss) / training loss is above ratio_threshold",
        "Use more images, stronger augmentation (crop_scale, auto_augment), a frozen backbone, "
        "or stop earlier (patience).",
        "warning",
        {
            "tensor_regex": Parameter("", _REGEX),
            "start_step": Parameter(0, "global step from which on to judge", low=0),
            "patience": Parameter(1, "how many times in a row the ratio must be above the threshold", low=1),
            "ratio_threshold": Parameter(0.1, "largest ratio that is no overfitting", low=0),
        },
    ),
    RuleSpec(
        "Overtraining",
        "the loss has stopped improving for patience_train or patience_validation judgements",
        "Stop earlier: set patience, or fewer epochs.",
        "warning",
        {
            "patience_train": Parameter(
                5, "training judgements in a row without an improvement that are still well", low=0
            ),
            "patience_validation": Parameter(10, "the same for validation", low=0),
            "delta": Parameter(0.01, "by how much a loss must fall to be an improvement", low=0),
        },
    ),
    RuleSpec(
        "PoorWeightInitialization",
        "at the start, a weight's variance is far from what its shape calls for, or all gradients have hardly any "
        "spread while the loss stays flat",
        "Start from pretrained weights, or initialise by He's or Glorot's formula.",
        "warning",
        {
            "activation_inputs_regex": Parameter(
                "",
                "regular expression of the inputs of activation functions, "
                "whose variances are compared as well; empty: none",
            ),
            "threshold": Parameter(
                10.0,
                "largest factor by which a weight's variance may lie outside the usual band, "
                "or the inputs' variances differ",
                low=0,
            ),
            "distribution_range": Parameter(
                0.001, "least distance between the 5th and 95th percentile of the widest gradient", low=0
            ),
            "patience": Parameter(5, "saved steps for which the loss may stay flat", low=1),
            "steps": Parameter(10, "saved steps from the start that are judged", low=1),
        },
    ),
    RuleSpec(
        "DeadRelu",
        "more than threshold_layer percent of a layer's units are active for less than threshold_inactivity percent",
        "Lower lr; look at the biases, which may have become strongly negative.",
        "warning",
        {
            "tensor_regex": Parameter("", _REGEX),
            "threshold_inactivity": Parameter(1.0, "percent of the values of a unit that must be above 0", 0, 100),
            "threshold_layer": Parameter(50.0, "percent of a layer's units that may be inactive", 0, 100),
        },
    ),
    RuleSpec(
        "SaturatedActivation",
        "more than threshold_layer percent of a layer's units are saturated: fewer than threshold_inactivity percent "
        "of their values lie between the function's flat ends",
        "Scale the inputs, lower lr, or use ReLU.",
        "warning",
        {
            "tensor_regex": Parameter("", _REGEX),
            "threshold_tanh_min": Parameter(-9.4999, "input of tanh below which it is saturated"),
            "threshold_tanh_max": Parameter(9.4999, "input of tanh above which it is saturated"),
            "threshold_sigmoid_min": Parameter(-23.0, "input of sigmoid below which it is saturated"),
            "threshold_sigmoid_max": Parameter(16.99999, "input of sigmoid above which it is saturated"),
            "threshold_inactivity": Parameter(
                1.0, "percent of the values of a unit that must not be saturated", 0, 100
            ),
            "threshold_layer": Parameter(50.0, "percent of a layer's units that may be saturated", 0, 100),
        },
    ),
    RuleSpec(
        "WeightUpdateRatio",
        "the ratio between a weight's update and the weight is outside small_threshold and large_threshold",
        "Lower lr if the ratio is large; raise it, or unfreeze the layer, if it is small.",
        "warning",
        {
            "num_steps": Parameter(
                1, "training steps between two whole weights, at least, where no ratios were saved", low=1
            ),
            "large_threshold": Parameter(10.0, "largest ratio", low=0),
            "small_threshold": Parameter(1e-8, "least ratio", low=0),
            "epsilon": Parameter(1e-9, "added to the weight, so that nothing is divided by 0", low=0),
        },
    ),
    RuleSpec(
        "AllZero",
        "at least threshold percent of a tensor's values are 0",
        "Look at the layer's inputs and initialisation; a frozen or unused layer has gradients of 0.",
        "warning",
        {
            "tensor_regex": Parameter("", _REGEX),
            "threshold": Parameter(100.0, "percent of zeros", 0, 100),
            "collection_names": Parameter(
                "", "collections to judge, separated by commas; empty: gradients, weights and biases"
            ),
        },
    ),
    RuleSpec(
        "UnchangedTensor",
        "a tensor stays the same (numpy.allclose) over num_steps saved steps",
        "Raise lr, or unfreeze the layer if it was to be trained.",
        "warning",
        {
            "tensor_regex": Parameter("", _REGEX),
            "collection_names": Parameter(
                "", "collections to judge, separated by commas; empty: gradients, weights and losses"
            ),
            "num_steps": Parameter(3, "saved steps over which it must change", low=2),
            "rtol": Parameter(1e-5, "relative tolerance", low=0),
            "atol": Parameter(1e-8, "absolute tolerance", low=0),
            "equal_nan": Parameter(False, "whether NaN equals NaN"),
        },
    ),
    RuleSpec(
        "TensorVariance",
        "the variance of a tensor is below min_threshold or above max_threshold",
        "Large: lower lr or set grad_clip. Small: raise lr, or look at the initialisation.",
        "warning",
        {
            "tensor_regex": Parameter("", _REGEX),
            "max_threshold": Parameter(None, "largest variance", low=0),
            "min_threshold": Parameter(None, "least variance", low=0),
            "collection_names": Parameter(
                "", "collections to judge, separated by commas; empty: gradients and weights"
            ),
        },
        on=False,
    ),
    RuleSpec(
        "ClassImbalance",
        "the largest class has more than threshold_imbalance times the labels of the smallest, or a class is "
        "mispredicted by more than threshold_misprediction while the others are not",
        "Set class_balance=sampling, or add images to the small classes.",
        "warning",
        {
            "threshold_imbalance": Parameter(10.0, "largest count of a class over the smallest", low=1),
            "threshold_misprediction": Parameter(0.7, "largest share of a class's samples that are mispredicted", 0, 1),
            "samples": Parameter(500, "labels after which it judges, again and again", low=1),
            "argmax": Parameter(True, "whether the index of the largest prediction is the predicted class"),
            "labels_regex": Parameter(".*labels", "regular expression of the labels"),
            "predictions_regex": Parameter(".*predictions", "regular expression of the predictions"),
        },
    ),
    RuleSpec(
        "CheckInputImages",
        "the mean of a channel over the input images is farther from 0 than threshold_mean",
        "Normalise the images: artifact and network must share one preprocessing.",
        "warning",
        {
            "threshold_mean": Parameter(0.2, "largest distance of a channel's mean from 0", low=0),
            "threshold_samples": Parameter(500, "images after which it judges, again and again", low=1),
            "regex": Parameter("", "regular expression of the input; empty: the rule's own choice"),
            "channel": Parameter(1, "axis of the channels of images, from 0", low=0),
        },
    ),
    RuleSpec(
        "Confusion",
        "a class is recognised in less than min_diag of its samples, "
        "or taken for another one in more than max_off_diag",
        "Look at the confused classes on the evaluation page; check their labels and add images.",
        "warning",
        {
            "category_no": Parameter(0, "number of classes; 0: as many as there are", low=0),
            "labels": Parameter("labels", "name of the collection, or regular expression, of the labels"),
            "predictions": Parameter("predictions", "the same of the predictions"),
            "labels_collection": Parameter("labels", "collection of the labels"),
            "predictions_collection": Parameter("predictions", "collection of the predictions"),
            "min_diag": Parameter(0.9, "least share of a class's samples on the diagonal", 0, 1),
            "max_off_diag": Parameter(0.1, "largest share of a class's samples in any other cell", 0, 1),
        },
        on=False,
    ),
    RuleSpec(
        "StalledTrainingRule",
        "no new step came for threshold seconds",
        "Look at the log: data that can't be read, a full disk or a lost host may hold the training up.",
        "error",
        {
            "threshold": Parameter(1800, "seconds", low=1),
            "stop_training_on_fire": Parameter(False, "whether the training is stopped"),
            "training_job_name_prefix": Parameter(
                "", "taken for compatibility; the training that is watched is the one stopped"
            ),
        },
    ),
)

TENSOR_RULES: Final = {rule.name: rule for rule in _RULES}
