package core

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/registry"
)

var (
	podSpecDocs   = corev1.PodSpec{}.SwaggerDoc()
	podStatusDocs = corev1.PodStatus{}.SwaggerDoc()
)

var podTable = &registry.Table[*corev1.Pod]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		registry.Column("Ready", "The aggregate readiness state of this pod for accepting traffic."),
		registry.Column("Status", "The aggregate status of the containers in this pod."),
		registry.Column("Restarts", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
		registry.AgeColumn,
		registry.WideColumn("IP", podStatusDocs["podIP"]),
		registry.WideColumn("Node", podSpecDocs["nodeName"]),
		registry.WideColumn("Nominated Node", podStatusDocs["nominatedNodeName"]),
		registry.WideColumn("Readiness Gates", podSpecDocs["readinessGates"]),
	},
	Cells: func(pod *corev1.Pod) []any {
		s := summarize(pod)
		return []any{
			pod.Name, fmt.Sprintf("%d/%d", s.ready, s.total), s.status, s.restartText(), registry.Age(pod.CreationTimestamp),
			registry.OrNone(pod.Status.PodIP), registry.OrNone(pod.Spec.NodeName), registry.OrNone(pod.Status.NominatedNodeName), openGates(pod),
		}
	},
	Conditions: func(pod *corev1.Pod) []metav1.TableRowCondition {
		message := map[corev1.PodPhase]string{
			corev1.PodSucceeded: "The pod has completed successfully.",
			corev1.PodFailed:    "The pod failed.",
		}[pod.Status.Phase]
		if message == "" {
			return nil
		}
		return []metav1.TableRowCondition{{
			Type: metav1.RowCompleted, Status: metav1.ConditionTrue, Reason: string(pod.Status.Phase), Message: message,
		}}
	},
}

// podSummary holds the cells of a row that sum up the containers of a pod.
type podSummary struct {
	status        string
	ready, total  int
	restarts      int
	lastRestarted metav1.Time
}

// summarize finds the text of the column Status. More specific facts override earlier ones, in this order: the phase, its reason,
// an unfinished init container, the regular containers, the deletion of the pod.
func summarize(pod *corev1.Pod) podSummary {
	s := podSummary{status: string(pod.Status.Phase), total: len(pod.Spec.Containers)}
	if pod.Status.Reason != "" {
		s.status = pod.Status.Reason
	}
	if condition := podCondition(pod, corev1.PodScheduled); condition.Reason == corev1.PodReasonSchedulingGated {
		s.status = corev1.PodReasonSchedulingGated
	}
	sidecars := map[string]bool{}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; staysUp(c) {
			sidecars[c.Name] = true
			s.total++
		}
	}
	initializing := s.addInitContainers(pod, sidecars)
	if !initializing || podCondition(pod, corev1.PodInitialized).Status == corev1.ConditionTrue {
		s.restarts, s.lastRestarted = 0, metav1.Time{}
		for _, c := range pod.Status.InitContainerStatuses {
			if sidecars[c.Name] {
				s.addRestarts(&c)
			}
		}
		s.addContainers(pod)
	}
	if pod.DeletionTimestamp != nil {
		switch {
		case pod.Status.Reason == "NodeLost":
			s.status = "Unknown"
		case !hasEnded(pod):
			s.status = "Terminating"
		}
	}
	return s
}

func podCondition(pod *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		return corev1.PodCondition{}
	}
	return pod.Status.Conditions[i]
}

// addInitContainers reports whether the pod still waits for an init container. They run one after the other, so the first
// unfinished one is shown.
func (s *podSummary) addInitContainers(pod *corev1.Pod, sidecars map[string]bool) (initializing bool) {
	for i, c := range pod.Status.InitContainerStatuses {
		s.addRestarts(&c)
		ended, waiting := c.State.Terminated, c.State.Waiting
		switch {
		case ended != nil && ended.ExitCode == 0:
			continue
		case sidecars[c.Name] && isTrue(c.Started):
			if c.Ready {
				s.ready++
			}
			continue
		case ended != nil:
			s.status = "Init:" + endReason(ended)
		case waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing":
			s.status = "Init:" + waiting.Reason
		default:
			s.status = fmt.Sprintf("Init:%d/%d", i, len(pod.Spec.InitContainers))
		}
		return true
	}
	return false
}

// addContainers goes from the last container to the first, so that the reason of the first one is shown.
func (s *podSummary) addContainers(pod *corev1.Pod) {
	anyRunning := false
	for _, c := range slices.Backward(pod.Status.ContainerStatuses) {
		s.addRestarts(&c)
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			s.status = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			s.status = endReason(c.State.Terminated)
		case c.Ready && c.State.Running != nil:
			anyRunning = true
			s.ready++
		}
	}
	if s.status == "Completed" && anyRunning {
		s.status = "NotReady"
		if podCondition(pod, corev1.PodReady).Status == corev1.ConditionTrue {
			s.status = "Running"
		}
	}
}

func endReason(ended *corev1.ContainerStateTerminated) string {
	switch {
	case ended.Reason != "":
		return ended.Reason
	case ended.Signal != 0:
		return fmt.Sprintf("Signal:%d", ended.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", ended.ExitCode)
}

func (s *podSummary) addRestarts(c *corev1.ContainerStatus) {
	s.restarts += int(c.RestartCount)
	if last := c.LastTerminationState.Terminated; last != nil && s.lastRestarted.Before(&last.FinishedAt) {
		s.lastRestarted = last.FinishedAt
	}
}

func (s *podSummary) restartText() string {
	if s.restarts == 0 || s.lastRestarted.IsZero() {
		return strconv.Itoa(s.restarts)
	}
	return fmt.Sprintf("%d (%s ago)", s.restarts, registry.Age(s.lastRestarted))
}

// openGates counts the readiness gates whose condition holds.
func openGates(pod *corev1.Pod) string {
	gates := pod.Spec.ReadinessGates
	if len(gates) == 0 {
		return registry.OrNone("")
	}
	open := 0
	for _, gate := range gates {
		if podCondition(pod, gate.ConditionType).Status == corev1.ConditionTrue {
			open++
		}
	}
	return fmt.Sprintf("%d/%d", open, len(gates))
}
