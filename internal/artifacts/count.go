package artifacts

// Count gives the number of blobs of the generation in dir and their total size.
func Count(dir string) (number int, bytes int64, err error) {
	g, manifests, err := Load(dir)
	if err != nil {
		return 0, 0, err
	}
	all := blobs(g, manifests)
	for _, b := range all {
		bytes += b.Size
	}
	return len(all), bytes, nil
}
