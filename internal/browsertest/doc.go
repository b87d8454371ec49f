// Package browsertest proves in a browser what a person sees of `tandem run`:
// both simulators, the console and the Notification Centre. It holds tests, and
// what those of the Centre share with them.
package browsertest
