package authn

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/foreigntoken"
)

// Columns of a token file. There are at least three; groups may be left out.
const (
	tokenColumn = iota
	nameColumn
	uidColumn
	groupsColumn
	columns
)

// readTokenFile reads the static tokens in a CSV file (--token-auth-file). Where upstream guesses what a line means, the
// line is refused: a token must not get another user than the file seems to say. Errors name the line and never quote it,
// since there is a token on it.
func readTokenFile(path string) (authenticator.Token, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := checkEncoding(content); err != nil {
		return nil, fmt.Errorf("token file '%s': line 1: %w", path, err)
	}
	tokens, lines := map[string]*user.DefaultInfo{}, map[string]int{}
	reader := csv.NewReader(strings.NewReader(string(content)))
	reader.FieldsPerRecord = -1
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return tokenfile.New(tokens), nil
		}
		if err != nil {
			// The library's text has the line, and nothing of what is on it.
			return nil, fmt.Errorf("token file '%s': %w", path, err)
		}
		line, _ := reader.FieldPos(0)
		if len(record) <= uidColumn {
			return nil, fmt.Errorf("token file '%s' must have at least %d columns (token, user name, user uid), found %d in line %d",
				path, uidColumn+1, len(record), line)
		}
		token := record[tokenColumn]
		if token == "" {
			klog.Warningf("token file '%s': line %d has no token and is skipped", path, line)
			continue
		}
		if err := checkRecord(record); err != nil {
			return nil, fmt.Errorf("token file '%s': line %d: %w", path, line, err)
		}
		known := userOf(record)
		if before, ok := tokens[token]; ok {
			if !sameUser(before, known) {
				return nil, fmt.Errorf("token file '%s': line %d: the token is that of line %d, with another user, uid or groups: take one of the two lines out",
					path, line, lines[token])
			}
			klog.Warningf("token file '%s': line %d repeats line %d", path, line, lines[token])
		}
		tokens[token], lines[token] = known, line
	}
}

// checkEncoding refuses what editors put before a text to tell how it is encoded. It would be read as part of the first
// token.
func checkEncoding(content []byte) error {
	for mark, encoding := range map[string]string{"\xef\xbb\xbf": "UTF-8", "\xff\xfe": "UTF-16", "\xfe\xff": "UTF-16"} {
		if strings.HasPrefix(string(content), mark) {
			return fmt.Errorf("the file begins with a byte order mark (%s): save it as UTF-8 without one", encoding)
		}
	}
	return nil
}

// otherQuotes are those of text processors, and single ones. They quote nothing in a CSV file.
const otherQuotes = "“”„‟«»‹›‘’‚‛＂＇'`´″′"

// checkRecord returns what is wrong with a line that has enough columns.
func checkRecord(record []string) error {
	for column, field := range record {
		first, _ := utf8.DecodeRuneInString(field)
		last, _ := utf8.DecodeLastRuneInString(field)
		switch {
		case strings.Contains(field, "\ufeff"):
			return fmt.Errorf("column %d has a byte order mark in it: save the file as UTF-8 without one", column+1)
		// Around several groups, one quote is in another column than the other.
		case field != "" && (strings.ContainsRune(otherQuotes, first) || strings.ContainsRune(otherQuotes, last)):
			return fmt.Errorf(`column %d is quoted with other quotes than " (U+0022): use these`, column+1)
		}
	}
	for len(record) > columns && record[len(record)-1] == "" {
		record = record[:len(record)-1] // spreadsheets write commas for empty cells
	}
	switch {
	case len(record) > columns:
		return fmt.Errorf(`there are %d columns and at most %d have a meaning: several groups need quotes around all of them, as in "group1,group2"`,
			len(record), columns)
	case foreigntoken.Nameless(record[nameColumn]):
		return errors.New("there is no user name")
	}
	return nil
}

// userOf returns the user of a line.
func userOf(record []string) *user.DefaultInfo {
	known := &user.DefaultInfo{Name: record[nameColumn], UID: record[uidColumn]}
	if len(record) > groupsColumn {
		known.Groups = strings.Split(record[groupsColumn], ",")
	}
	return known
}

func sameUser(a, b *user.DefaultInfo) bool {
	return a.Name == b.Name && a.UID == b.UID && slices.Equal(a.Groups, b.Groups)
}
