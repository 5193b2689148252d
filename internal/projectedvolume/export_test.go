package projectedvolume

import "k8s.io/component-base/metrics/testutil"

// Metrics returns the values of the collectors of this package alone: others of the process may call an etcd for theirs.
func Metrics() (values map[string]float64, err error) {
	values = map[string]float64{}
	if values["expiration"], err = testutil.GetGaugeMetricValue(registered().Expiration); err != nil {
		return nil, err
	}
	if values["failing"], err = testutil.GetGaugeMetricValue(registered().Failing); err != nil {
		return nil, err
	}
	for _, result := range []string{"success", "refused", "unavailable"} {
		n, err := testutil.GetCounterMetricValue(registered().Renewals.WithLabelValues(result))
		if err != nil {
			return nil, err
		}
		values["renewals"] += n
	}
	return values, nil
}
