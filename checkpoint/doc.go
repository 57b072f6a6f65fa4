// Package checkpoint keeps what replicas must agree on: the partitions of a
// change stream, how far each was published, who owns it, and which replicas
// there are.
//
// There are two implementations of changestream.Store: Spanner keeps it in
// three tables of a Spanner database (see DDL), Memory in this process. What a
// commit may change is decided in one place for both (decide): writes are
// conditional on owner and epoch, a position never moves back, and children are
// stored in the transaction that stores the end of their parent.
//
// Duties of the caller: create the tables first (spancast admin bootstrap), and
// use one prefix for all replicas of a stream. Several streams may share the
// tables.
package checkpoint
