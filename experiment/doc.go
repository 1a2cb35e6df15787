// Package experiment runs trainings: it trains on data, records what was done, and summarises the results.
//
// A [Run] is one training: [Options] on a [Base] and a [Set], which may be shared by several runs. It can be
// interrupted and resumed, and detects if it was done before. The package neither prints nor reads flags: it
// reports events to a [Hook], and its errors say by their type what is at fault ([SettingError], [InputError]).
package experiment
