// Package doors holds one test: recorded runs (testdata/runs) go through four
// doors, the flow functions chained by hand, the interpreter over the shipped
// state machines, HTTP against the server of `tandem run`, and the bootstraps
// that are deployed to AWS, emulated, and must take the same path, make the same
// writes and end in the same outcomes. It is not for cases that need faults or
// chosen moments: those are the simulation's.
package doors
