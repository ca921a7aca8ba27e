package config

import "fmt"

// validatePhones checks the rules for makes of phones.
func (c *Config) validatePhones(r *report) {
	for i := range c.Phones {
		p, key := &c.Phones[i], fmt.Sprintf("phones[%d]", i)
		if p.UserAgent == nil {
			if _, set := r.at[key+".user_agent"]; !set { // else it has a fault already
				r.add(key, "user_agent is missing")
			}
		} else if p.UserAgent.String() == "" {
			r.add(key+".user_agent", `must not be empty; "." is any phone that says what it is`)
		}
		for _, v := range []struct {
			name, value string
			allowed     []string
		}{
			{"state", p.State, []string{"early", "confirmed"}},
			{"rendering", p.Rendering, []string{"pval", "pvalue", "none"}},
			{"target", p.Target, []string{"orbit", "code"}},
			{"ids", p.IDs, []string{"alias", "none"}},
			{"presence", p.Presence, []string{"busy", "closed"}},
		} {
			if v.value != "" {
				r.oneOf(key+"."+v.name, v.value, v.allowed...)
			}
		}
	}
}
