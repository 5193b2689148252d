package oauth

// Noted is how many uses are noted.
func (i *Idle) Noted() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.due) + len(i.later)
}
