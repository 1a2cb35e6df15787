// Package card writes what others ask of a model, as far as an adapter and an evaluation of it know: an Applied Model Card in the
// schema of the Coalition for Health AI (version 0.2, XML and the same names as JSON), and the checklists CLAIM (2024) and
// TRIPOD+AI (2024) as tables. What only people know, such as the intended use or who paid, is left as a named blank. Values for
// blanks come back as facts, so that a card can be made again.
package card
