package cli

// Access lists of workspaces and of templates have the same entries.

// listed is a user or a group on an access list.
type listed struct{ name, id, role string }

// listedAs makes the entries of a list.
func listedAs[T any](list []T, entry func(T) listed) []listed {
	entries := make([]listed, len(list))
	for i, one := range list {
		entries[i] = entry(one)
	}
	return entries
}

// offList is what takes those off that are called by their name or id.
func offList(list []listed, names []string, missing func(name string) error) (map[string]string, error) {
	off := map[string]string{}
	for _, name := range names {
		found := false
		for _, entry := range list {
			if isCalled(name, entry.name, entry.id) {
				off[entry.id], found = "", true
				break
			}
		}
		if !found {
			return nil, missing(name)
		}
	}
	return off, nil
}

// share is a line of an access list.
type share struct{ user, group, role string }

func sharesOf(users, groups []listed) []share {
	rows := []share{}
	for _, u := range users {
		rows = append(rows, share{u.name, "-", u.role})
	}
	for _, g := range groups {
		rows = append(rows, share{"-", g.name, g.role})
	}
	return rows
}

func shareTable() table[share] {
	return table[share]{columns: []column[share]{
		{"user", func(s share) string { return s.user }},
		{"group", func(s share) string { return s.group }},
		{"role", func(s share) string { return s.role }},
	}}
}
