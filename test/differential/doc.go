// Package differential runs random transactions on the embedded Spanner and on
// Google's emulator and compares what their change streams record.
//
// A run is made of rounds. Each round has a random schema, in either dialect,
// with streams of all value capture types, and a number of random transactions
// of mutations and DML. A transaction must end with the same code on both
// servers; its records, taken apart into row changes, must be the same but for
// the known differences, which normalise removes, each with its reason. What
// Google's emulator cannot do without ending (NULL elements of arrays) is not
// generated.
//
// The seed is printed and taken from DIFFERENTIAL_SEED; a seed always gives the
// same schemas and transactions. DIFFERENTIAL_TRANSACTIONS sets how many
// transactions are run.
package differential
