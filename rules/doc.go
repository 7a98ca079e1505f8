// Package rules keeps samples and judges them. Its [Store] is Prometheus's own
// machinery as a library: the TSDB holds samples, the scrape manager fetches
// them, PromQL and the rule manager turn them into alerts, so that every
// Prometheus rule file means here what it means there.
//
// It also ships rule files for what minikeeper collects ([Shipped]), checks
// rule files and expressions before they are used ([CheckFile], [CheckExpr]),
// says whether a repair is proven by samples measured after it
// ([Store.Prove]), and answers Prometheus's query API ([Store.Handler]).
//
// It repairs nothing and tells nobody: what to do about an alert is decided by
// package remediate, through [Store.Snapshot] and [Store.Prove].
package rules
