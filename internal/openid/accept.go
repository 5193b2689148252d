package openid

import (
	"net/http"
	"strconv"
	"strings"
)

// negotiate returns which of the media types a document is sent as: the one that the request's Accept headers weigh most
// (RFC 9110 section 12.5.1), the first of these if there are several, and none if the headers exclude all.
func negotiate(header http.Header, types []string) (string, bool) {
	ranges := readAccept(header)
	best, most := "", 0.0
	for _, name := range types {
		if weight := ranges.weigh(name); weight > most {
			best, most = name, weight
		}
	}
	return best, best != ""
}

// accepted are the media ranges of Accept headers with their weights, in lower case.
type accepted map[string]float64

// readAccept reads the Accept headers. Parameters other than the weight are ignored. Without any range, everything is
// accepted.
func readAccept(header http.Header) accepted {
	ranges := accepted{}
	for element := range strings.SplitSeq(strings.Join(header.Values("Accept"), ","), ",") {
		name, parameters, _ := strings.Cut(element, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "*" { // Java's HttpURLConnection
			name = "*/*"
		}
		if strings.Contains(name, "/") {
			ranges[name] = max(ranges[name], readWeight(parameters))
		}
	}
	if len(ranges) == 0 {
		ranges["*/*"] = 1
	}
	return ranges
}

// readWeight returns the weight among the parameters of a range. It is 1 if there is none that can be read.
func readWeight(parameters string) float64 {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		if weight, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil && weight >= 0 && weight <= 1 {
			return weight
		}
	}
	return 1
}

// weigh returns the weight of a media type, which is that of the most specific range around it.
func (a accepted) weigh(name string) float64 {
	kind, _, _ := strings.Cut(name, "/")
	for _, around := range []string{name, kind + "/*", "*/*"} {
		if weight, ok := a[around]; ok {
			return weight
		}
	}
	return 0
}

// acceptable returns a route condition that does go-restful's part of the negotiation. The library compares the ranges of
// the first Accept header with media types as texts. So the condition leaves in that header the one media type that the
// document is sent as, or one that no document has: then the library answers 406.
func acceptable(types []string) func(*http.Request) bool {
	return func(request *http.Request) bool {
		name, ok := negotiate(request.Header, types)
		if !ok {
			name = "none/none"
		}
		request.Header.Set("Accept", name)
		return true
	}
}
