package scheme

import "k8s.io/apimachinery/pkg/runtime"

// addDefaults registers what a field left out by the client means.
func addDefaults(*runtime.Scheme) {}
