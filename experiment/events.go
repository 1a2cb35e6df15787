package experiment

import (
	"sync"

	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/train"
)

// Event is something that happened: one of [Note], [Meter], [Resumed], [Probed], [Began], [Stepped], [Validating], [EpochEnded],
// [Ended], [Tried] and [Compared].
type Event interface{ event() }

// Hook is told what happens, one event at a time, and must not wait for long. Nil is told nothing.
type Hook func(Event)

func (h Hook) tell(e Event) {
	if h != nil {
		h(e)
	}
}

// note tells a remark.
func (h Hook) note(text string) { h.tell(Note{Text: text}) }

// one makes calls from several goroutines come one at a time.
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

// Note is a remark for people, one line.
type Note struct{ Text string }

// Meter is how far a stage is. The stage is over when Done is Total, or when the function that it is part of returns.
type Meter struct {
	Stage       string // "reading images"
	Done, Total int
}

// Prepared says how images become the input of a base, where none of its files does.
type Prepared struct {
	Base   string
	Recipe imaging.Recipe
	Why    string // how it was chosen
}

// Resumed says where a run goes on that was asked to resume.
type Resumed struct {
	Title    string
	Folder   string // of the run
	Found    bool   // there was a checkpoint; else the run starts from the beginning
	Finished bool   // the training was finished: the adapter is yet to be measured and written
	Step     int    // optimizer steps that are done
	Epoch    int    // epochs that are done
}

// Probed says what the linear probe of the bare base came to, with which the run begins.
type Probed struct {
	Title   string
	Method  lora.Method
	Start   Start
	Samples int // for validation
}

// Retreated says that the run went back to the begin of an epoch and halved its rates.
type Retreated struct {
	Title   string
	Retreat train.Retreat
	Number  int // of the retreat, from 1
}

// Returned says that the training ended below the linear probe that it began with. The probe is kept instead, unless
// an earlier epoch is above it, or chance explains the difference.
type Returned struct {
	Title  string
	Method lora.Method
	Scores train.Scores // of what the training ended with
	Start  Start
	Kept   bool // what the training ended with is kept
	// Epoch, if not 0, is kept: its validation, Top, is not below the probe's.
	Epoch int
	Top   train.Scores
}

// Began says that training begins.
type Began struct {
	Title         string
	Data          Data
	Config        Config
	Deltas        []lora.Delta // that are trained
	Parameters    Parameters
	Rates         *lora.Rates // nil: one learning rate, as given
	StepsPerEpoch int
	Done, Total   int64 // images to pass, of all epochs, validation included
}

// Speed is how fast training is.
type Speed struct {
	ImagesPerSecond float64
	ShareOfPeak     float64 // of what the machine can compute; 0: unknown
}

// Stepped follows an optimizer step.
type Stepped struct {
	Title         string
	Epoch, Epochs int // from 1
	Loss          float64
	Scores        train.Scores // on validation after the epoch before, nil if there is none
	Speed         Speed
	Done, Total   int64 // images
}

// Validating says how far a validation is.
type Validating struct {
	Title         string
	Epoch, Epochs int   // from 1
	Done, Total   int64 // images
}

// EpochEnded follows an epoch and its validation.
type EpochEnded struct {
	Title    string
	Epoch    train.Epoch
	Epochs   int
	Best     bool // the best so far on validation
	Stopped  bool // there was no better one for so long that training stops
	Patience int  // epochs
	Speed    Speed
}

// Tried says what a candidate of a sweep came to.
type Tried struct {
	Title     string
	Candidate string  // its values in words
	AUC       float64 // mean over its seeds on validation; NaN: not defined
	Failed    string  // why, if it did
}

// Compared says that a run of a comparison is done.
type Compared struct {
	Title        string
	Before       bool // it was done by an earlier comparison
	Number, Runs int
	Result       *Result
}

// Ended says that training is over, or was interrupted.
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
