package dataset

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

// TestPublished: data sets in the layouts and under the headers in which they are published, each opened as docs/datasets.md
// says. The pictures are ours.
func TestPublished(t *testing.T) {
	with := func(texts map[string]string, names ...string) map[string]string {
		files := map[string]string{}
		for i, name := range names {
			files[name] = fmt.Sprintf("#%d", i+1)
		}
		maps.Copy(files, texts)
		return files
	}
	for name, c := range map[string]struct {
		files map[string]string
		path  string // below the folder
		opt   Options
		lists []string // split files below the folder
		want  string
		says  string
	}{
		"NIH ChestX-ray14": {with(map[string]string{
			"Data_Entry_2017.csv": "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n" +
				"00000001_000.png,Cardiomegaly,0,1,58,M,PA,2682,2749,0.143,0.143,\n00000001_001.png,Cardiomegaly|Emphysema,1,1,58,M,PA,2894,2729,0.143,0.143,\n00000002_000.png,No Finding,0,2,81,M,PA,2500,2048,0.171,0.171,\n",
			"BBox_List_2017.csv": "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000001_000.png,Cardiomegaly,225.08,547.02,86.78,79.19,,,\n",
			"train_val_list.txt": "00000001_000.png\n00000001_001.png\n", "test_list.txt": "00000002_000.png\n"},
			"images_001/images/00000001_000.png", "images_001/images/00000001_001.png", "images_002/images/00000002_000.png"), "", Options{},
			[]string{"train_val_list.txt", "test_list.txt"}, "multilabel Cardiomegaly+Emphysema/train=1 Cardiomegaly/train=1 no label/test=1", "2 patients"},
		"CheXpert": {with(map[string]string{
			"train.csv": "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly\nCheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,\nCheXpert-v1.0-small/train/patient00002/study2/view1_frontal.jpg,Female,87,Frontal,AP,,-1.0,1.0\n",
			"valid.csv": "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly\nCheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP,0.0,1.0,1.0\n"},
			"train/patient00001/study1/view1_frontal.jpg", "train/patient00002/study2/view1_frontal.jpg", "valid/patient64541/study1/view1_frontal.jpg"), "", Options{Uncertain: UncertainIgnore}, nil,
			"multilabel Cardiomegaly/train=1 Enlarged Cardiomediastinum+Cardiomegaly/val=1 No Finding/train=1", "3 patients"},
		"MIMIC-CXR-JPG": {with(map[string]string{
			"mimic-cxr-2.0.0-split.csv":    "dicom_id,study_id,subject_id,split\n02aa,50414267,10000032,train\n174b,50414267,10000032,train\n2a2b,53189527,10000764,validate\n9f9f,1,2,train\n",
			"mimic-cxr-2.0.0-chexpert.csv": "subject_id,study_id,Atelectasis,Edema,No Finding\n10000032,50414267,,,1.0\n10000764,53189527,1.0,-1.0,\n",
			"mimic-cxr-2.0.0-metadata.csv": "dicom_id,subject_id,study_id,ViewPosition,Rows\n02aa,10000032,50414267,PA,3056\n174b,10000032,50414267,LATERAL,3056\n2a2b,10000764,53189527,AP,3056\n9f9f,2,1,AP,5\n"},
			"files/p10/p10000032/s50414267/02aa.jpg", "files/p10/p10000032/s50414267/174b.jpg", "files/p10/p10000764/s53189527/2a2b.jpg"), "",
			Options{Uncertain: UncertainPositive, Where: []string{"ViewPosition!=LATERAL"}, Task: MultiLabel, AllowMissing: true}, nil, "multilabel Atelectasis+Edema/val=1 No Finding/train=1", "2 patients"},
		"HAM10000": {with(map[string]string{
			"HAM10000_metadata.csv": "lesion_id,image_id,dx,dx_type,age,sex,localization\nHAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp\nHAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp\nHAM_0002730,ISIC_0026769,nv,histo,80.0,male,scalp\n"},
			"HAM10000_images_part_1/ISIC_0027419.jpg", "HAM10000_images_part_1/ISIC_0025030.jpg", "HAM10000_images_part_2/ISIC_0026769.jpg"), "", Options{}, nil, "binary bkl=2 nv=1", "2 patients"},
		"ISIC 2019": {with(map[string]string{
			"ISIC_2019_Training_GroundTruth.csv": "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\nISIC_0000000,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\nISIC_0000002,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n",
			"ISIC_2019_Training_Metadata.csv":    "image,age_approx,anatom_site_general,lesion_id,sex\nISIC_0000000,55.0,anterior torso,L1,female\nISIC_0000002,60.0,upper extremity,,female\n"},
			"ISIC_2019_Training_Input/ISIC_0000000.jpg", "ISIC_2019_Training_Input/ISIC_0000002.jpg"), "", Options{}, nil, "binary MEL=1 NV=1", "1 patients"},
		"ISIC 2018": {with(map[string]string{
			"ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv": "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\nISIC_0024306,0.0,1.0,0.0,0.0,0.0,0.0,0.0\nISIC_0024310,1.0,0.0,0.0,0.0,0.0,0.0,0.0\n"},
			"ISIC2018_Task3_Training_Input/ISIC_0024306.jpg", "ISIC2018_Task3_Training_Input/ISIC_0024310.jpg"), "", Options{}, nil, "binary MEL=1 NV=1", ""},
		"SIIM-ISIC 2020": {with(map[string]string{
			"train.csv":             "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target\nISIC_2637011,IP_7279968,male,45.0,head/neck,unknown,benign,0\nISIC_0015719,IP_3075186,female,45.0,upper extremity,melanoma,malignant,1\n",
			"test.csv":              "image_name,patient_id,sex,age_approx,anatom_site_general_challenge\nISIC_0052060,IP_3579794,male,70.0,\n",
			"sample_submission.csv": "image_name,target\nISIC_0052060,0\n"},
			"jpeg/train/ISIC_2637011.jpg", "jpeg/train/ISIC_0015719.jpg", "jpeg/test/ISIC_0052060.jpg"), "", Options{}, nil, "binary 0=1 1=1", `column "target", not from "diagnosis"`},
		"APTOS 2019": {with(map[string]string{
			"train.csv": "id_code,diagnosis\n000c1434d8d7,2\n001639a390f0,4\n", "test.csv": "id_code\n0005cfc8afb6\n", "sample_submission.csv": "id_code,diagnosis\n0005cfc8afb6,0\n"},
			"train_images/000c1434d8d7.png", "train_images/001639a390f0.png", "test_images/0005cfc8afb6.png"), "", Options{}, nil, "binary 2=1 4=1", "1 left out, images without a row in train.csv"},
		"EyePACS": {with(map[string]string{"trainLabels.csv": "image,level\n10_left,0\n10_right,0\n13_left,1\n13_right,1\n"},
			"train/10_left.jpeg", "train/10_right.jpeg", "train/13_left.jpeg", "train/13_right.jpeg"), "", Options{}, nil, "binary 0=2 1=2", "2 patients"},
		"RSNA pneumonia": {with(map[string]string{
			"stage_2_train_labels.csv":        "patientId,x,y,width,height,Target\n0004cfab,,,,,0\n00436515,264.0,152.0,213.0,379.0,1\n00436515,562.0,152.0,256.0,453.0,1\n",
			"stage_2_detailed_class_info.csv": "patientId,class\n0004cfab,Normal\n00436515,Lung Opacity\n00436515,Lung Opacity\n", "stage_2_sample_submission.csv": "patientId,PredictionString\n0004cfab,\n"},
			"stage_2_train_images/0004cfab.png", "stage_2_train_images/00436515.png"), "", Options{}, nil, "binary 0=1 1=1", "1 rows name an image"},
		"BUSI": {with(map[string]string{"Dataset_BUSI_with_GT/benign/benign (1)_mask.png": stencil(t), "Dataset_BUSI_with_GT/benign/benign (1)_mask_1.png": stencil(t)},
			"Dataset_BUSI_with_GT/benign/benign (1).png", "Dataset_BUSI_with_GT/malignant/malignant (1).png", "Dataset_BUSI_with_GT/malignant/malignant (1)_mask.png", "Dataset_BUSI_with_GT/normal/normal (1).png"), "", Options{}, nil,
			"multiclass benign=1 malignant=1 normal=1", "3 left out, masks"},
		"Kermany chest": {with(nil, "chest_xray/train/NORMAL/IM-0115-0001.jpeg", "chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg", "chest_xray/val/NORMAL/a.jpeg", "chest_xray/test/NORMAL/b.jpeg", "chest_xray/test/PNEUMONIA/c.jpeg",
			"chest_xray/__MACOSX/train/NORMAL/._IM-0115-0001.jpeg", "chest_xray/chest_xray/train/NORMAL/IM-0115-0001.jpeg"), "", Options{}, nil,
			"binary NORMAL/test=1 NORMAL/train=1 NORMAL/val=1 PNEUMONIA/test=1 PNEUMONIA/train=1", "a copy of the folders"},
		"Kermany chest, as named": {with(nil, "train/NORMAL/IM-0115-0001.jpeg", "train/NORMAL/NORMAL2-IM-0115-0001-0001.jpeg", "train/PNEUMONIA/person1_bacteria_1.jpeg", "train/PNEUMONIA/person1_bacteria_2.jpeg",
			"test/NORMAL/IM-0001-0001.jpeg", "test/PNEUMONIA/person1_virus_6.jpeg"), "", Options{}, nil,
			"binary NORMAL/test=1 NORMAL/train=2 PNEUMONIA/test=1 PNEUMONIA/train=2", "5 patients or other groups"},
		"Kermany OCT": {with(nil, "OCT2017/train/CNV/CNV-1016042-1.jpeg", "OCT2017/train/CNV/CNV-1016042-2.jpeg", "OCT2017/train/DME/DME-1072015-1.jpeg", "OCT2017/test/CNV/CNV-1016042-3.jpeg", "OCT2017/test/DME/DME-1001-1.jpeg"), "OCT2017", Options{}, nil,
			"binary CNV/test=1 CNV/train=2 DME/test=1 DME/train=1", "1 patients have images in several of the given splits"},
		"RFMiD": {with(map[string]string{
			"Training_Set/Training_Set/RFMiD_Training_Labels.csv":       "ID,Disease_Risk,DR,MH\n1,1,1,0\n2,0,0,0\n3,1,0,1\n",
			"Evaluation_Set/Evaluation_Set/RFMiD_Validation_Labels.csv": "ID,Disease_Risk,DR,MH\n1,0,0,0\n2,1,1,0\n",
			"Test_Set/Test_Set/RFMiD_Testing_Labels.csv":                "ID,Disease_Risk,DR,MH\n1,1,0,1\n"},
			"Training_Set/Training_Set/Training/1.png", "Training_Set/Training_Set/Training/2.png", "Training_Set/Training_Set/Training/3.png",
			"Evaluation_Set/Evaluation_Set/Validation/1.png", "Evaluation_Set/Evaluation_Set/Validation/2.png", "Test_Set/Test_Set/Test/1.png"), "", Options{}, nil,
			"multilabel Disease_Risk+DR/train=1 Disease_Risk+DR/val=1 Disease_Risk+MH/test=1 Disease_Risk+MH/train=1 no label/train=1 no label/val=1", ""},
		"PAD-UFES-20": {with(map[string]string{
			"metadata.csv": "patient_id,lesion_id,smoke,age,gender,region,diagnostic,itch,grew,img_id,biopsed\nPAT_1516,1765,,8,FEMALE,ARM,NEV,False,True,PAT_1516_1765_530.png,False\nPAT_46,881,True,55,FEMALE,NECK,BCC,True,False,PAT_46_881_939.png,True\n"},
			"images/imgs_part_1/PAT_1516_1765_530.png", "images/imgs_part_2/PAT_46_881_939.png"), "", Options{}, nil, "binary BCC=1 NEV=1", "2 patients"},
		"OCTDL": {with(map[string]string{
			"OCTDL_labels.csv": "file_name,disease,subcategory,condition,patient_id,eye,sex,year,image_width,image_height\namd_1047099_1,AMD,late,MNV,1,OD,F,2020,8,6\nno_100_1,NO,,,2,OD,F,2020,8,6\n"},
			"OCTDL/AMD/amd_1047099_1.jpg", "OCTDL/NO/no_100_1.jpg"), "", Options{}, nil, "binary AMD=1 NO=1", "2 patients"},
		"BreakHis": {with(nil, "breast/benign/SOB/adenosis/SOB_B_A_14-22549AB/40X/SOB_B_A-14-22549AB-40-001.png", "breast/benign/SOB/adenosis/SOB_B_A_14-22549AB/100X/SOB_B_A-14-22549AB-100-001.png",
			"breast/malignant/SOB/ductal_carcinoma/SOB_M_DC_14-2523/40X/SOB_M_DC-14-2523-40-001.png"), "breast", Options{}, nil, "binary benign=2 malignant=1", "2 patients"},
		"malaria cells": {with(map[string]string{"cell_images/cell_images/Parasitized/C100P61ThinF_cell_162.png": "#1", "cell_images/Parasitized/C100P61ThinF_cell_162.png": "#1"},
			"cell_images/Parasitized/C39P4ThinF_cell_12.png", "cell_images/Uninfected/C1_thinF_cell_12.png"), "", Options{}, nil, "binary Parasitized=2 Uninfected=1", "a copy of the folders"},
		"LC25000": {with(nil, "lung_colon_image_set/lung_image_sets/lung_aca/lungaca1.jpeg", "lung_colon_image_set/lung_image_sets/lung_n/lungn1.jpeg", "lung_colon_image_set/colon_image_sets/colon_n/colonn1.jpeg"), "", Options{Layout: "leaves"}, nil,
			"multiclass colon_n=1 lung_aca=1 lung_n=1", ""},
		"LC25000, unasked": {with(nil, "lung_colon_image_set/lung_image_sets/lung_aca/lungaca1.jpeg", "lung_colon_image_set/lung_image_sets/lung_n/lungn1.jpeg",
			"lung_colon_image_set/colon_image_sets/colon_n/colonn1.jpeg", "lung_colon_image_set/colon_image_sets/colon_aca/colonaca1.jpeg"), "", Options{}, nil,
			"binary colon_image_sets=2 lung_image_sets=2", "--layout leaves"},
		"INbreast": {with(map[string]string{"INbreast.csv": "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads\nremoved;removed;R;CC;201001;22678622;4;1\nremoved;removed;L;CC;201001;22678646;4;5\n"},
			"AllPNGs/22678622_61b13c59bcba149d_MG_R_CC_ANON.png", "AllPNGs/22678646_61b13c59bcba149d_MG_L_CC_ANON.png"), "", Options{LabelColumn: "Bi-Rads"}, nil, "binary 1=1 5=1", "1 patients"},
		"PCam, Kaggle": {with(map[string]string{"train_labels.csv": "id,label\nf38a6374,0\nc18f2d88,1\n", "sample_submission.csv": "id,label\n0b2ea2a8,0\n"},
			"train/f38a6374.png", "train/c18f2d88.png", "test/0b2ea2a8.png"), "", Options{}, nil, "binary 0=1 1=1", "sample_submission.csv (give the one that does)"},
		"CBIS-DDSM": {with(map[string]string{"mass_case_description_train_set.csv": "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,mass margins,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path\n" +
			"P_00001,3,LEFT,CC,1,mass,IRREGULAR,SPICULATED,4,MALIGNANT,4,Mass-Training_P_00001_LEFT_CC/1.3.6/1.3.7/000000.dcm,Mass-Training_P_00001_LEFT_CC_1/1.3.8/1.3.9/000001.dcm,\"Mass-Training_P_00001_LEFT_CC_1/1.3.8/1.3.9/000000.dcm\n\"\n" +
			"P_00004,3,LEFT,CC,1,mass,OVAL,X,4,BENIGN,3,Mass-Training_P_00004_LEFT_CC/1.4.6/1.4.7/000000.dcm,Mass-Training_P_00004_LEFT_CC_1/1.4.8/1.4.9/000001.dcm,\"Mass-Training_P_00004_LEFT_CC_1/1.4.8/1.4.9/000000.dcm\n\"\n"},
			"Mass-Training_P_00001_LEFT_CC/1.3.6/1.3.7/000000.png", "Mass-Training_P_00004_LEFT_CC/1.4.6/1.4.7/000000.png"), "", Options{}, nil, "binary BENIGN=1 MALIGNANT=1", "2 patients"},
		"imagefolder": {with(map[string]string{"train/metadata.csv": "file_name,label\n0001.png,a\n0002.png,b\n", "test/metadata.csv": "file_name,label\n0001.png,a\n"},
			"train/0001.png", "train/0002.png", "test/0001.png"), "", Options{}, nil, "binary a/test=1 a/train=1 b/train=1", ""},
		"WebDataset": {with(map[string]string{"000.cls": "0", "001.cls": "1", "002.json": `{"label": "1"}`}, "000.png", "001.png", "002.png"), "", Options{}, nil, "binary 0=1 1=2", "WebDataset"},
	} {
		root := write(t, c.files)
		for _, l := range c.lists {
			c.opt.SplitFiles = append(c.opt.SplitFiles, filepath.Join(root, l))
		}
		d, err := Open(filepath.Join(root, c.path), c.opt)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := summary(d); got != c.want {
			t.Errorf("%s: %s, expected %s", name, got, c.want)
		}
		if !strings.Contains(words(d), c.says) {
			t.Errorf("%s: %q does not say %q", name, words(d), c.says)
		}
	}
	if _, err := Open(write(t, map[string]string{"camelyonpatch_level_2_split_train_x.h5": "x"}), Options{}); err == nil || !strings.Contains(err.Error(), "HDF5 is not read") {
		t.Errorf("PCam: %v", err)
	}
}
