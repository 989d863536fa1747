package unpack

import "muster/internal/manifest"

// limits are what one archive may hold.
type limits struct {
	entries int
	bytes   int64
	depth   int
	// file is the length of the longest regular file.
	file int64
}

const (
	// MaxName is the longest path and the longest target of a link, in bytes.
	MaxName = 1024
	// maxNames bounds all paths together, which are kept in memory to find duplicates.
	maxNames = 64 << 20
	// perEntry is the most that an entry takes in the archive beside its content: headers and padding.
	perEntry = 8 << 10
	// slack is room for the end of the archive and its padding.
	slack = 1 << 20
)

// newLimits takes the manifest's word up to the options' ceilings.
func newLimits(blob manifest.Blob, opt Options) (limits, error) {
	or := func(value, otherwise int64) int64 {
		if value <= 0 {
			return otherwise
		}
		return value
	}
	entries, bytes := or(int64(opt.MaxEntries), 500_000), or(opt.MaxBytes, 64<<30)
	switch {
	case blob.Entries < 0 || int64(blob.Entries) > entries:
		return limits{}, refusedf("it is said to hold %d entries, at most %d are allowed", blob.Entries, entries)
	case blob.Unpacked < 0 || blob.Unpacked > bytes:
		return limits{}, refusedf("it is said to hold %d bytes, at most %d are allowed", blob.Unpacked, bytes)
	}
	lim := limits{entries: blob.Entries, bytes: blob.Unpacked, depth: int(or(int64(opt.MaxDepth), 255)), file: blob.Unpacked}
	if opt.Transform != nil {
		lim.file = MaxTransform
	}
	return lim, nil
}

// stream is how long the decompressed archive may be.
func (l limits) stream() int64 { return l.bytes + int64(l.entries)*perEntry + slack }
