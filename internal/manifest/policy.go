package manifest

// Spread keeps the members of a counted role apart: so many of them may share one value of a label.
type Spread struct {
	Label string `json:"label"`
	// Max is the most members with one value; 0 spreads them evenly over the values that are known.
	Max int `json:"max,omitempty"`
}

// Upgrade is how hosts of a role take a new generation. At most one of MaxUnavailable and MaxPercent is set.
type Upgrade struct {
	// Order is when the role's turn is: the lower first, 0 for the order of the bundle.
	Order int `json:"order,omitempty"`
	// MaxUnavailable is how many hosts may be away at a time, MaxPercent the same in percent of the role's hosts.
	MaxUnavailable int `json:"max_unavailable,omitempty"`
	MaxPercent     int `json:"max_percent,omitempty"`
}
