// Package experiment makes runs: it trains on data, records what was done, and sums up what came of it.
//
// A [Run] is one training: [Options] on a [Base] and a [Set] that other runs may use, too. It can be stopped and resumed,
// and knows whether it was done before. Nothing here prints or reads flags: what happens is told to a [Hook], and
// what is wrong comes back as an error that says whose fault it is ([SettingError], [InputError]).
package experiment
