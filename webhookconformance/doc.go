// Package webhookconformance checks a token webhook, a program that a kube-apiserver asks about tokens
// (--authentication-token-webhook-config-file), against what kube-apiserver sends and expects.
//
// Run sends the TokenReviews that a kube-apiserver sends, in v1beta1 (its default) and v1, and looks at the answers: their
// status codes, their form, and what a kube-apiserver would make of them. Each mistake that is known to let a wrong caller in, to keep
// a right one out, or to hide the reason has a check with a name, which says what went wrong and how to mend it.
//
// Most checks need a token that the webhook accepts: Options.Token. Without one they are skipped.
package webhookconformance
