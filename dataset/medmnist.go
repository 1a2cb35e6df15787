package dataset

import (
	"path/filepath"
	"strings"
)

// medMNISTNames maps the beginning of the file name of MedMNIST's image sets to the names of their classes. The
// classes of retinamnist are numeric grades and need no names.
var medMNISTNames = map[string][]string{
	"pathmnist": {"adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa", "cancer-associated stroma",
		"colorectal adenocarcinoma epithelium"},
	"chestmnist": {"atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax", "consolidation", "edema",
		"emphysema", "fibrosis", "pleural", "hernia"},
	"dermamnist": {"actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma", "benign keratosis-like lesions", "dermatofibroma",
		"melanoma", "melanocytic nevi", "vascular lesions"},
	"octmnist":       {"choroidal neovascularization", "diabetic macular edema", "drusen", "normal"},
	"pneumoniamnist": {"normal", "pneumonia"},
	"breastmnist":    {"malignant", "normal, benign"},
	"bloodmnist":     {"basophil", "eosinophil", "erythroblast", "immature granulocytes", "lymphocyte", "monocyte", "neutrophil", "platelet"},
	"tissuemnist": {"Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule", "Glomerular endothelial cells", "Interstitial endothelial cells",
		"Leukocytes", "Podocytes", "Proximal Tubule Segments", "Thick Ascending Limb"},
	"organamnist":         organs,
	"organcmnist":         organs,
	"organsmnist":         organs,
	"organmnist_axial":    organs,
	"organmnist_coronal":  organs,
	"organmnist_sagittal": organs,
}

var organs = []string{"bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver", "lung-left", "lung-right", "pancreas", "spleen"}

// medMNIST returns the class names of a MedMNIST file of any size and version ("pathmnist.npz",
// "pathmnist_224.npz"), or nil if it is none, or has another number of classes.
func medMNIST(path string, classes int) []string {
	stem := strings.TrimSuffix(strings.ToLower(filepath.Base(path)), ".npz")
	for _, size := range []string{"_28", "_64", "_128", "_224"} {
		stem = strings.TrimSuffix(stem, size)
	}
	if names := medMNISTNames[stem]; len(names) == classes {
		return append([]string(nil), names...)
	}
	return nil
}
