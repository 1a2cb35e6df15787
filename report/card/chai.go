package card

import "encoding/xml"

// Namespace is that of the schema of the cards, https://github.com/coalition-for-health-ai/mc-schema.
const Namespace = "https://mc.chai.org/v0.2/schema.xsd"

// AppliedModelCard has the elements of the schema in their order. Texts may be Markdown. The tag ask says what a blank asks for;
// elements without it are always known.
type AppliedModelCard struct {
	XMLName           xml.Name          `xml:"https://mc.chai.org/v0.2/schema.xsd AppliedModelCard" json:"-"`
	BasicInfo         BasicInfo         `json:"BasicInfo"`
	ReleaseInfo       ReleaseInfo       `json:"ReleaseInfo"`
	ModelSummary      ModelSummary      `json:"ModelSummary"`
	UsesAndDirections UsesAndDirections `json:"UsesAndDirections"`
	Warnings          Warnings          `json:"Warnings"`
	TrustIngredients  TrustIngredients  `json:"TrustIngredients"`
	KeyMetrics        KeyMetrics        `json:"KeyMetrics"`
	Resources         Resources         `json:"Resources"`
	Bibliography      string            `json:"Bibliography" ask:"BibTeX entries of what the card cites, or none"`
}

// BasicInfo says whose model it is.
type BasicInfo struct {
	ModelName        string `json:"ModelName"`
	ModelDeveloper   string `json:"ModelDeveloper" ask:"person or organisation that made the model"`
	DeveloperContact string `json:"DeveloperContact" ask:"how to reach them"`
}

// ReleaseInfo says what was released when.
type ReleaseInfo struct {
	ReleaseStage       string `json:"ReleaseStage" ask:"stage, such as research, pilot or in use"`
	ReleaseDate        string `json:"ReleaseDate" ask:"date of the release"`
	ReleaseVersion     string `json:"ReleaseVersion"`
	GlobalAvailability string `json:"GlobalAvailability" ask:"where the model may be used"`
	RegulatoryApproval string `xml:",omitempty" json:"RegulatoryApproval,omitempty" ask:"regulatory clearance, if there is one" optional:"yes"`
}

// ModelSummary is a paragraph.
type ModelSummary struct {
	Summary  string   `json:"Summary"`
	Keywords Keywords `json:"Keywords"`
}

// Keywords are what a card is found by.
type Keywords struct {
	Keyword []string `json:"Keyword"`
}

// UsesAndDirections say what the model is for.
type UsesAndDirections struct {
	IntendedUseAndWorkflow      string `json:"IntendedUseAndWorkflow" ask:"the decision that the answer supports, and its place in the workflow"`
	PrimaryIntendedUsers        string `json:"PrimaryIntendedUsers" ask:"who reads the answers, and with what training"`
	HowToUse                    string `json:"HowToUse"`
	TargetedPatientPopulation   string `json:"TargetedPatientPopulation" ask:"patients, indications, age, setting"`
	CautionedOutOfScopeSettings string `json:"CautionedOutOfScopeSettings"`
}

// Warnings are what may go wrong.
type Warnings struct {
	KnownRisksAndLimitations           string `json:"KnownRisksAndLimitations"`
	KnownBiasesOrEthicalConsiderations string `json:"KnownBiasesOrEthicalConsiderations" ask:"biases of the data and of its labels, and ethical considerations"`
	ClinicalRiskLevel                  string `json:"ClinicalRiskLevel" ask:"risk class of the use, by the rules that apply"`
}

// TrustIngredients say how the model was made.
type TrustIngredients struct {
	AISystemFacts           AISystemFacts           `json:"AISystemFacts"`
	TransparencyInformation TransparencyInformation `json:"TransparencyInformation"`
}

// AISystemFacts are about model and data.
type AISystemFacts struct {
	OutcomesAndOutputs              string `json:"OutcomesAndOutputs"`
	ModelType                       string `json:"ModelType"`
	FoundationModels                string `xml:",omitempty" json:"FoundationModels,omitempty" optional:"yes"`
	InputDataSource                 string `json:"InputDataSource" ask:"where the images come from: sites, devices, dates"`
	OutputAndInputDataTypes         string `json:"OutputAndInputDataTypes"`
	DevelopmentDataCharacterization string `json:"DevelopmentDataCharacterization"`
	BiasMitigationApproaches        string `json:"BiasMitigationApproaches" ask:"what was done against bias"`
	OngoingMaintenance              string `json:"OngoingMaintenance" ask:"who watches the model in use, how often, and what ends it"`
	Security                        string `xml:",omitempty" json:"Security,omitempty" optional:"yes"`
	Transparency                    string `xml:",omitempty" json:"Transparency,omitempty" optional:"yes"`
}

// TransparencyInformation says who is behind the model.
type TransparencyInformation struct {
	FundingSource         string `json:"FundingSource" ask:"who paid for the development"`
	ThirdPartyInformation string `xml:",omitempty" json:"ThirdPartyInformation,omitempty" ask:"third parties involved" optional:"yes"`
	StakeholdersConsulted string `json:"StakeholdersConsulted" ask:"who was consulted: patients, clinicians, others"`
}

// KeyMetrics are three groups of numbers.
type KeyMetrics struct {
	UsefulnessUsabilityEfficacy KeyMetric `json:"UsefulnessUsabilityEfficacy"`
	FairnessEquity              KeyMetric `json:"FairnessEquity"`
	SafetyReliability           KeyMetric `json:"SafetyReliability"`
}

// KeyMetric is one of them.
type KeyMetric struct {
	MetricGoal                        string        `json:"MetricGoal" ask:"what had to be reached, and why that suffices"`
	Results                           MetricResults `json:"Results"`
	Interpretation                    string        `json:"Interpretation" ask:"what the numbers mean for the intended use"`
	TestType                          string        `json:"TestType"`
	TestingDataDescription            string        `json:"TestingDataDescription"`
	ValidationProcessAndJustification string        `json:"ValidationProcessAndJustification"`
}

// MetricResults are the numbers of a group.
type MetricResults struct {
	MetricResult []MetricResult `json:"MetricResult"`
}

// MetricResult is a number, or several, as JSON.
type MetricResult struct {
	Label     string `json:"Label"`
	ValueJSON string `xml:"ValueJson" json:"ValueJson"`
}

// Resources say where more stands.
type Resources struct {
	EvaluationReferences       string `xml:",omitempty" json:"EvaluationReferences,omitempty" ask:"reports of evaluations" optional:"yes"`
	ClinicalTrial              string `xml:",omitempty" json:"ClinicalTrial,omitempty" ask:"clinical trial" optional:"yes"`
	PeerReviewedPublications   string `json:"PeerReviewedPublications" ask:"publications about the model, or none"`
	ReimbursementStatus        string `xml:",omitempty" json:"ReimbursementStatus,omitempty" ask:"reimbursement" optional:"yes"`
	PatientConsentOrDisclosure string `json:"PatientConsentOrDisclosure" ask:"whether patients consent, or are told"`
}
