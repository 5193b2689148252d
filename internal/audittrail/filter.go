package audittrail

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Markers in the lines of events that a trace may need.
var (
	idMarker      = []byte(`credential-id":`)
	revokedMarker = []byte(Prefix + "revoked-")
	deletedMarker = []byte(`"tokenrevocations"`)
	requestMarker = []byte(`/token`)
)

// filter tells from the bytes of a line whether its event may be needed, so that few lines are decoded.
type filter struct {
	// texts are lists of texts. A line passes if it has all texts of one list in it.
	texts [][][]byte
	// ids are looked up in the lines, if there are too many to search for each.
	ids map[string]struct{}
}

// filterOf returns the filter for lines that name one of the ids, and for revocations.
func filterOf(ids map[string]struct{}) *filter {
	f := &filter{texts: [][][]byte{{revokedMarker}, {deletedMarker}}}
	const few = 3
	if len(ids) > few {
		f.ids = ids
		return f
	}
	for id := range ids {
		f.add(id)
	}
	return f
}

// add has lines pass that have a text in them, and all of the markers.
func (f *filter) add(text string, markers ...[]byte) {
	for _, form := range inJSON(text) {
		f.texts = append(f.texts, append([][]byte{form}, markers...))
	}
}

// inJSON returns a text as it stands in JSON: with <, > and & escaped, and without that.
func inJSON(text string) [][]byte {
	forms := make([][]byte, 2)
	for i, escape := range []bool{true, false} {
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(escape)
		_ = encoder.Encode(text) // a string can always be encoded
		quoted := bytes.TrimSpace(out.Bytes())
		forms[i] = quoted[1 : len(quoted)-1]
	}
	return slices.CompactFunc(forms, bytes.Equal)
}

// mayMatch reports whether an event in a part of a log may be needed.
func (f *filter) mayMatch(part []byte) bool {
	for _, all := range f.texts {
		if !slices.ContainsFunc(all, func(text []byte) bool { return !bytes.Contains(part, text) }) {
			return true
		}
	}
	return f.ids != nil && f.namesOne(part)
}

// namesOne reports whether the part names one of the ids.
func (f *filter) namesOne(part []byte) bool {
	for {
		at := bytes.Index(part, idMarker)
		if at < 0 {
			return false
		}
		part = part[at+len(idMarker):]
		// In the extra of a user it is in a list.
		id, ok := stringIn(bytes.TrimLeft(part, " ["))
		if _, known := f.ids[string(id)]; ok && known {
			return true
		}
	}
}

// stringIn reads the string in JSON with which a text begins.
func stringIn(text []byte) ([]byte, bool) {
	if len(text) == 0 || text[0] != '"' {
		return nil, false
	}
	for i, escaped := 1, false; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
			escaped = true
		case '"':
			if !escaped {
				return text[1:i], true
			}
			var decoded string
			err := json.Unmarshal(text[:i+1], &decoded)
			return []byte(decoded), err == nil
		}
	}
	return nil, false
}
