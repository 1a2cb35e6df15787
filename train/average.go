package train

import (
	"fmt"

	"melo.example/melo/compute"
)

// Average is an exponential moving average of parameters. After step t, counted from 1, it is d times its
// previous value plus (1-d) times the parameters, with d = min(Decay, (1+t)/(10+t)), so that the first steps
// are soon forgotten.
type Average struct {
	Decay   float64
	params  []compute.Param
	data    [][]float32 // parallel to params
	workers compute.Workers
	pieces  []piece
	task    averageTask
}

// NewAverage returns an average that starts with the present parameters.
func NewAverage(params []compute.Param, decay float64, workers compute.Workers) (*Average, error) {
	if !(decay > 0 && decay < 1) {
		return nil, fmt.Errorf("train: decay %v of the average, expected a number between 0 and 1", decay)
	}
	a := &Average{Decay: decay, params: params, workers: workers, pieces: piecesOf(params)}
	for _, p := range params {
		a.data = append(a.data, append([]float32(nil), p.Data...))
	}
	a.task.a = a
	return a, nil
}

// add updates the average after a step.
func (a *Average) add(step int) {
	t := float64(step)
	a.task.share = float32(1 - min(a.Decay, (1+t)/(10+t)))
	a.workers.Run(len(a.pieces), &a.task)
}

// swap exchanges the average and the parameters.
func (a *Average) swap() {
	for i, p := range a.params {
		for k, v := range p.Data {
			p.Data[k], a.data[i][k] = a.data[i][k], v
		}
	}
}

// averageTask updates one piece of the average.
type averageTask struct {
	a     *Average
	share float32
}

func (t *averageTask) Do(_, i int) {
	p := t.a.pieces[i]
	avg, now := t.a.data[p.param][p.from:p.to], t.a.params[p.param].Data[p.from:p.to]
	for k, v := range now {
		avg[k] += t.share * (v - avg[k])
	}
}
