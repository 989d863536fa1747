package coordinator

// Actor is who asks for a change, as the front door has made sure of it, for events: its name, and where it asks from.
type Actor struct {
	Name, From string
}

// itself is the coordinator, where nobody asked.
var itself = Actor{Name: "coordinator"}
