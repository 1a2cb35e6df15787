package experiment

import (
	"sync"

	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/train"
)

// Event is something that happened: one of [Note], [Meter], [Resumed], [Probed], [Began], [Stepped],
// [Validating], [EpochEnded], [Ended], [Tried] and [Compared].
type Event interface{ event() }

// Hook receives events, one at a time, and must return quickly. A nil Hook receives none.
type Hook func(Event)

func (h Hook) tell(e Event) {
	if h != nil {
		h(e)
	}
}

// note reports a remark.
func (h Hook) note(text string) { h.tell(Note{Text: text}) }

// one returns a hook that may be called from several goroutines.
func (h Hook) one() Hook {
	if h == nil {
		return nil
	}
	var mu sync.Mutex
	return func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		h(e)
	}
}

// Note is a one-line remark for people.
type Note struct{ Text string }

// Meter is the progress of a stage. The stage is over when Done is Total, or when the function that it is part
// of returns.
type Meter struct {
	Stage       string // such as "reading images"
	Done, Total int
}

// Prepared describes the preprocessing of a base, if no file gives it.
type Prepared struct {
	Base   string
	Recipe imaging.Recipe
	Why    string // how it was chosen
}

// Resumed says where a resumed run continues.
type Resumed struct {
	Title    string
	Folder   string // of the run
	Found    bool   // there was a checkpoint; otherwise the run starts from the beginning
	Finished bool   // training was complete; the adapter must still be evaluated and written
	Step     int    // completed optimizer steps
	Epoch    int    // completed epochs
}

// Probed reports the result of the linear probe of the bare base, from which the run starts.
type Probed struct {
	Title   string
	Method  lora.Method
	Start   Start
	Samples int // number of validation samples
}

// Retreated reports that the run returned to the start of an epoch and halved its learning rates.
type Retreated struct {
	Title   string
	Retreat train.Retreat
	Number  int // number of the retreat, from 1
}

// Returned reports that the training ended with worse scores than its initial linear probe. The probe is kept
// instead, unless an earlier epoch was better than it, or chance explains the difference.
type Returned struct {
	Title  string
	Method lora.Method
	Scores train.Scores // at the end of training
	Start  Start
	Kept   bool // the trained parameters are kept, not the probe
	// Epoch, if not 0, is kept: its validation scores, Top, are not worse than the probe's.
	Epoch int
	Top   train.Scores
}

// Began reports the start of training.
type Began struct {
	Title         string
	Data          Data
	Config        Config
	Deltas        []lora.Delta // trained deltas
	Parameters    Parameters
	Rates         *lora.Rates // nil: a single, given learning rate
	StepsPerEpoch int
	Done, Total   int64 // images to process over all epochs, including validation
}

// Speed is the speed of training.
type Speed struct {
	ImagesPerSecond float64
	ShareOfPeak     float64 // fraction of the machine's peak speed; 0: unknown
}

// Stepped follows each optimizer step.
type Stepped struct {
	Title         string
	Epoch, Epochs int // from 1
	Loss          float64
	Scores        train.Scores // on validation after the previous epoch; nil if none
	Speed         Speed
	Done, Total   int64 // images
}

// Validating reports the progress of validation.
type Validating struct {
	Title         string
	Epoch, Epochs int   // from 1
	Done, Total   int64 // images
}

// EpochEnded follows each epoch and its validation.
type EpochEnded struct {
	Title    string
	Epoch    train.Epoch
	Epochs   int
	Best     bool // best validation so far
	Stopped  bool // training stops, because no epoch has been better for a while
	Patience int  // in epochs
	Speed    Speed
}

// Tried reports the result of a candidate of a sweep.
type Tried struct {
	Title     string
	Candidate string  // its values as text
	AUC       float64 // mean over its seeds on validation; NaN: not defined
	Failed    string  // reason, if it failed
}

// Compared reports that a run of a comparison is done.
type Compared struct {
	Title        string
	Before       bool // it was done by an earlier comparison
	Number, Runs int
	Result       *Result
}

// Ended reports that training is over, or was interrupted.
type Ended struct{ Title string }

func (Note) event()       {}
func (Meter) event()      {}
func (Prepared) event()   {}
func (Resumed) event()    {}
func (Probed) event()     {}
func (Retreated) event()  {}
func (Returned) event()   {}
func (Began) event()      {}
func (Stepped) event()    {}
func (Validating) event() {}
func (EpochEnded) event() {}
func (Tried) event()      {}
func (Compared) event()   {}
func (Ended) event()      {}
