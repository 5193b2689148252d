package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// qosClass returns a pod's quality of service: Guaranteed if the requests of all containers equal their limits, BestEffort if no
// container has either, Burstable otherwise. Only cpu and memory count.
// See https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/.
func qosClass(spec *corev1.PodSpec) corev1.PodQOSClass {
	if spec.Resources != nil {
		switch asks, fixed := demands(*spec.Resources); {
		case fixed:
			return corev1.PodQOSGuaranteed
		case asks:
			return corev1.PodQOSBurstable
		}
	}
	anyAsks, allFixed := false, true
	for _, c := range slices.Concat(spec.Containers, spec.InitContainers) {
		asks, fixed := demands(c.Resources)
		anyAsks = anyAsks || asks
		allFixed = allFixed && fixed
	}
	switch {
	case !anyAsks:
		return corev1.PodQOSBestEffort
	case allFixed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// demands reports whether there is any request or limit, and whether the limits of both resources equal the requests.
func demands(r corev1.ResourceRequirements) (asks, fixed bool) {
	fixed = true
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		request, limit := r.Requests[name], r.Limits[name]
		asks = asks || request.Sign() > 0 || limit.Sign() > 0
		fixed = fixed && limit.Sign() > 0 && (request.IsZero() || request.Cmp(limit) == 0)
	}
	return asks, fixed
}
