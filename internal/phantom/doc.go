// Package phantom draws synthetic medical images: pictures that stand for four modalities and belong to nobody.
//
// Each [Task] is a formula with a seed: anatomy that varies from one imagined patient to the next, findings that
// range from plain to hardly visible, and the nuisance that real archives have (exposure, noise, markers, wires,
// borders, stain). The pictures are made for showing what the program does on a machine that has no data. They
// are synthetic: they carry no patient's data, and a model that is trained on them has learnt nothing about
// patients.
//
// A picture depends on the task, the seed and its number alone, so that any of them can be drawn by itself, in
// any order and on any number of workers. Between architectures a sample may differ by rounding.
package phantom
