package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/audittrail"
)

// tracePrinter prints entries as they come.
type tracePrinter struct {
	out  io.Writer
	json bool
	// one says that all is about one credential, which is named once.
	one bool
	// printed is how many entries were printed.
	printed int
	// last is an entry that is not printed yet: those after it may be the same again, times of them until the time of until.
	last  *audittrail.Entry
	times int
	until time.Time
}

// print prints an entry. As text, entries that differ in their time alone are one line.
func (p *tracePrinter) print(e *audittrail.Entry) error {
	if p.json {
		return p.printJSON(e)
	}
	if p.last != nil && p.alike(p.last, e) {
		p.times++
		p.until = e.Time
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.last, p.times = e, 1
	return nil
}

// alike reports whether two uses, or two reviews, differ in their time alone.
func (p *tracePrinter) alike(a, b *audittrail.Entry) bool {
	if a.Kind != audittrail.Used && a.Kind != audittrail.Reviewed {
		return false
	}
	return p.describe(a) == p.describe(b)
}

// end prints what is left.
func (p *tracePrinter) end(report *audittrail.Report) error {
	if !p.json {
		return p.flush()
	}
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	begin, end := "", "\n  ],\n"
	if p.printed == 0 {
		begin, end = "{\n  \"entries\": [", "],\n"
	}
	indented, err := indented(text, "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, "%s%s  \"report\": %s\n}\n", begin, end, indented)
	return err
}

func (p *tracePrinter) printJSON(e *audittrail.Entry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	indented, err := indented(text, "    ")
	if err != nil {
		return err
	}
	before := ","
	if p.printed == 0 {
		before = "{\n  \"entries\": ["
	}
	p.printed++
	_, err = fmt.Fprintf(p.out, "%s\n    %s", before, indented)
	return err
}

// indented lays out a JSON value whose first line is not indented.
func indented(value []byte, prefix string) ([]byte, error) {
	text, err := indentJSON(value)
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\n"+prefix)), err
}

// flush prints the last entry.
func (p *tracePrinter) flush() error {
	if p.last == nil {
		return nil
	}
	text := p.describe(p.last)
	if p.times > 1 {
		text += fmt.Sprintf(", %d times until %s", p.times, instant(p.until))
	}
	if p.one && p.printed == 0 && p.last.CredentialID != "" {
		if _, err := fmt.Fprintf(p.out, "%s\n", oneLine(p.last.CredentialID)); err != nil {
			return err
		}
	}
	p.printed++
	_, err := fmt.Fprintf(p.out, "%s  %-9s  %s\n", instant(p.last.Time), strings.ToLower(string(p.last.Kind)), oneLine(text))
	p.last = nil
	return err
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// oneLine makes text from a log safe to show on one line.
func oneLine(text string) string {
	return strings.ReplaceAll(plain(text), "\n", "�")
}

// describe says what happened, but for when.
func (p *tracePrinter) describe(e *audittrail.Entry) string {
	var what string
	switch e.Kind {
	case audittrail.Requested:
		what = "by " + caller(e) + " " + issued(e)
	case audittrail.Used:
		what = fmt.Sprintf("by %s for %s %s: %s", caller(e), e.Verb, e.URI, verdict(e))
	case audittrail.Reviewed:
		what = fmt.Sprintf("by %s: %s", caller(e), verdict(e))
		if e.User != "" {
			what += ", " + e.User
		}
	case audittrail.Revoked:
		what = "by " + caller(e)
		if by := e.Revocation.By; by != "" && by != e.By {
			what += " for " + by
		}
		what += ": " + revoked(e.Revocation)
	case audittrail.Restored:
		what = fmt.Sprintf("by %s, who deleted the revocation %s", caller(e), e.Revocation.Name)
	case audittrail.Changed:
		what = fmt.Sprintf("by %s with %s %s", caller(e), e.Verb, e.URI)
	}
	if !p.one && e.CredentialID != "" && e.Kind != audittrail.Revoked {
		what = e.CredentialID + " " + what
	}
	return what
}

// caller says who it was, with which credential and from where.
func caller(e *audittrail.Entry) string {
	text := cmp.Or(e.By, "a stranger")
	if e.As != "" {
		text += " as " + e.As
	}
	if e.With != "" && e.Kind != audittrail.Used {
		text += " with " + e.With
	}
	if len(e.From) > 0 {
		text += " from " + strings.Join(e.From, ", ")
	}
	if e.UserAgent != "" {
		text += " (" + e.UserAgent + ")"
	}
	return text
}

// verdict says what came of it.
func verdict(e *audittrail.Entry) string {
	text := cmp.Or(e.Verdict, "no verdict recorded")
	if e.Reason != "" && e.Verdict != string(v1alpha1.VerdictAuthenticated) {
		text += " (" + e.Reason + ")"
	}
	if e.Code != 0 && (e.Kind == audittrail.Used || e.Code >= 300) {
		text += fmt.Sprintf(", status %d", e.Code)
	}
	return text
}

// issued says what was issued.
func issued(e *audittrail.Entry) string {
	t := e.Token
	text := "for " + t.ServiceAccount
	if e.Code >= 300 {
		return fmt.Sprintf("%s: refused with status %d", text, e.Code)
	}
	if len(t.Audiences) > 0 {
		text += ", audiences " + strings.Join(t.Audiences, " ")
	}
	if t.BoundObject != "" {
		text += ", bound to " + t.BoundObject
	}
	if t.Expires != nil {
		text += ", until " + t.Expires.UTC().Format(time.RFC3339)
	}
	if t.KeyID != "" {
		text += ", signed by key " + t.KeyID
	}
	return text
}

// revoked says which tokens were revoked.
func revoked(r *audittrail.Revocation) string {
	var text string
	switch {
	case r.CredentialID != "":
		text = r.CredentialID
	case r.ServiceAccount != "":
		text = "the tokens of " + r.ServiceAccount
	case r.Subject != "":
		text = "the tokens of " + r.Subject
	case r.KeyID != "":
		text = "the tokens of the key " + r.KeyID
	case r.CertificateUser != "":
		text = "the client certificates of " + r.CertificateUser
	default:
		text = "all tokens"
	}
	if r.Issuer != "" {
		text += " of " + r.Issuer
	}
	if r.IssuedBefore != nil {
		text += " issued before " + r.IssuedBefore.UTC().Format(time.RFC3339)
	}
	return text
}
