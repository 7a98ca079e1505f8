// Package remediate decides whether, when and how a fault is repaired, and
// sees to it that nobody has to take a repair's success on trust.
//
// A [Remedy] says which alert leads to which action, under which guards, and
// what proves that it helped. The [Engine] admits a run in one transaction of
// the [Journal], has the target perform the plan step by step, and then waits
// for evidence on samples that were measured after the last step. Whatever it
// decides not to do is journaled too, with the gate that stopped it.
//
// The package starts no program, opens no file and no connection, and reads no
// metric: servers are reached through minikeeper.Target, evidence comes from a
// [Prover], memory from a [Journal]. Guards are pure functions that keep no
// state, so asking twice is safe. There is no way to force an action.
package remediate
