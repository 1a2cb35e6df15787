// Package cohort extracts from DICOM objects what a study may use without identifying anybody: which objects
// belong to the same patient, and how they were acquired.
//
// Patients are numbered in the order of their first occurrence ("patient 3"), ages become ranges, and only
// coded terms are taken from other elements, because free text may contain a name.
package cohort

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"melo.example/melo/dicom"
)

// Names of the attributes of an object.
const (
	AttrModality     = "modality"
	AttrBodyPart     = "body_part"
	AttrView         = "view"
	AttrLaterality   = "laterality"
	AttrManufacturer = "manufacturer"
	AttrAge          = "age" // a range of ten years: "40-49"
	AttrSex          = "sex"
	AttrBurnedIn     = "burned_in_annotation" // "YES" or "NO" if given
	AttrCapture      = "secondary_capture"    // how the picture was converted, if it is not an original
)

// Cohort numbers patients. Its methods may be called concurrently; numbers follow the order of calls.
type Cohort struct {
	mu       sync.Mutex
	patients map[string]int
}

// Patient returns a pseudonym for the patient of an object: the same for all objects with the same identifier
// and issuer. Without an identifier it uses the patient's name, else the study. It returns "" if the object has
// none of these.
func (c *Cohort) Patient(d *dicom.DataSet) string {
	id := d.Text(dicom.PatientID)
	if id == "" {
		id = d.Text(dicom.PatientName)
	}
	if id == "" {
		if id = d.Text(dicom.StudyInstanceUID); id == "" {
			return ""
		}
	}
	key := strings.Join([]string{id, d.Text(dicom.IssuerOfPatientID)}, "\x00")
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.patients == nil {
		c.patients = map[string]int{}
	}
	n, ok := c.patients[key]
	if !ok {
		n = len(c.patients) + 1
		c.patients[key] = n
	}
	return "patient " + strconv.Itoa(n)
}

// Len returns the number of patients so far.
func (c *Cohort) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.patients)
}

// Attributes returns the coded terms that describe how an object was acquired, by the names above. Missing
// elements and values that are not coded terms are omitted.
func Attributes(d *dicom.DataSet) map[string]string {
	attr := map[string]string{}
	put := func(name, value string) {
		if value != "" {
			attr[name] = value
		}
	}
	put(AttrModality, term(d.Text(dicom.Modality), modalities))
	put(AttrBodyPart, term(d.Text(dicom.BodyPartExamined), bodyParts))
	put(AttrView, term(d.Text(dicom.ViewPosition), views))
	side := term(d.Text(dicom.ImageLaterality), sides)
	if side == "" {
		side = term(d.Text(dicom.Laterality), sides)
	}
	put(AttrLaterality, side)
	put(AttrManufacturer, maker(d.Text(dicom.Manufacturer)))
	put(AttrAge, age(d))
	put(AttrSex, sex(d.Text(dicom.PatientSex)))
	put(AttrBurnedIn, term(d.Text(dicom.BurnedInAnnotation), " YES NO "))
	if d.Text(dicom.SOPClassUID) == "1.2.840.10008.5.1.4.1.1.7" || strings.HasPrefix(d.Text(dicom.SOPClassUID), "1.2.840.10008.5.1.4.1.1.7.") {
		capture := term(d.Text(dicom.ConversionType), " DV DI DF WSD SD SI DRW SYN ")
		if capture == "" || capture == other {
			capture = "YES"
		}
		put(AttrCapture, capture)
	}
	return attr
}

// other replaces a value that is not a term of the standard, because it may be free text.
const other = "other"

// term returns a value if it is one of the standard's terms, given as a space-separated list.
func term(text, list string) string {
	switch {
	case text == "":
		return ""
	case strings.Contains(list, " "+text+" ") && !strings.Contains(text, " "):
		return text
	}
	return other
}

// Terms of PS3.3 (C.7.3.1.1.1, C.8.1.1) and PS3.16 (annex L), and others that devices write.
const (
	modalities = " CR CT DX ES GM IO IVUS MG MR NM OP OPT OPTBSV OPTENF OT PT PX RF RG RTIMAGE SC SM US XA XC XRF BMD BDUS IVOCT LS DMS SEG RTDOSE DS CF VL "
	bodyParts  = " ABDOMEN ABDOMENPELVIS ADRENAL ANKLE AORTA ARM AXILLA BACK BLADDER BRAIN BREAST BRONCHUS BUTTOCK CALCANEUS CALF CAROTID CEREBELLUM CERVIX " +
		"CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS CIRCLEOFWILLIS CLAVICLE COCCYX COLON CORNEA CORONARYARTERY CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY " +
		"EYE EYELID FACE FEMUR FINGER FOOT FOREARM GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS ILEUM ILIUM IAC JAW JEJUNUM KIDNEY KNEE LARYNX LEG LIVER " +
		"LSPINE LSSPINE LUNG MANDIBLE MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV NOSE ORBIT OVARY PANCREAS PAROTID PATELLA PELVIS " +
		"PELVISLOWEXTREMT PENIS PHARYNX PROSTATE RADIUS RADIUSULNA RECTUM RETINA RIB SACRUM SCALP SCAPULA SCLERA SCROTUM SELLA SHOULDER SI SINUS SKIN SKULL SPINE " +
		"SPLEEN SSPINE STERNUM STOMACH SUBMANDIBULAR TESTIS THIGH THORAX THUMB THYMUS THYROID TIBIA TIBIAFIBULA TLSPINE TMJ TOE TONGUE TRACHEA TSPINE ULNA URETER " +
		"URETHRA UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA "
	views = " AP PA LL RL RLD LLD RLO LLO LATERAL LAT CC MLO ML LM LMO XCC XCCL XCCM FB SIO ISO CV AT RM TAN LPO RPO LAO RAO OBLIQUE OBL AXIAL SAGITTAL CORONAL "
	sides = " L R B U "
)

// makers lists words by which known manufacturers are recognised in an element of free text.
var makers = []string{"AGFA", "ALOKA", "CANON", "CARESTREAM", "ELEKTA", "ESAOTE", "FUJI", "GE ", "GEHC", "GENERAL ELECTRIC", "HITACHI", "HOLOGIC",
	"IMAGING DYNAMICS", "KODAK", "KONICA", "LEICA", "LUMEDX", "MINDRAY", "NIKON", "OLYMPUS", "PHILIPS", "PICKER", "PLANMECA", "SAMSUNG", "SECTRA",
	"SHIMADZU", "SIEMENS", "SIRONA", "SONOSITE", "TOPCON", "TOSHIBA", "UNITED IMAGING", "VAREX", "VARIAN", "VATECH", "ZEISS", "ZIEHM"}

func maker(text string) string {
	upper := strings.ToUpper(text) + " "
	for _, m := range makers {
		if strings.Contains(upper, m) {
			switch m = strings.TrimSpace(m); m {
			case "GEHC", "GENERAL ELECTRIC":
				return "GE"
			}
			return m
		}
	}
	if text == "" {
		return ""
	}
	return other
}

func sex(text string) string {
	switch text {
	case "F", "M", "O":
		return text
	}
	return ""
}

// age returns the ten-year range of a patient's age, from the age or from the dates of birth and study.
func age(d *dicom.DataSet) string {
	years := -1
	if text := d.Text(dicom.PatientAge); len(text) == 4 {
		if n, err := strconv.Atoi(text[:3]); err == nil && n >= 0 {
			switch text[3] {
			case 'Y':
				years = n
			case 'M':
				years = n / 12
			case 'W':
				years = n / 52
			case 'D':
				years = n / 365
			}
		}
	}
	if years < 0 {
		birth, study := d.Text(dicom.PatientBirthDate), d.Text(dicom.StudyDate)
		if len(birth) == 8 && len(study) == 8 {
			b, err1 := strconv.Atoi(birth)
			s, err2 := strconv.Atoi(study)
			if err1 == nil && err2 == nil && s >= b {
				years = (s - b) / 10000
			}
		}
	}
	switch {
	case years < 0 || years > 130:
		return ""
	case years >= 90:
		return "90-"
	}
	return fmt.Sprintf("%d-%d", years/10*10, years/10*10+9)
}
