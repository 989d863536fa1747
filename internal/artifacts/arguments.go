package artifacts

func validateArgs(probe string, with map[string]string) error { return nil }
