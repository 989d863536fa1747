package config

// readParameters reads the operator's parameters, fills in the defaults and checks all against the bundle's schema.
func (p *clusterParser) readParameters(top cursor, c *cursor) {
	given := map[string]any{}
	at := cursor{report: top.report, at: top.at, way: top.way.key("parameters")}
	if c != nil {
		at = *c
		if !c.isMapping() {
			return
		}
		v, ok := c.data()
		if !ok {
			return
		}
		given = v.(map[string]any)
	}
	p.cluster.Parameters = given
	if p.bundle == nil {
		return
	}
	s, err := p.bundle.parameters()
	if err != nil {
		at.failKey("the bundle's schema cannot be used: "+err.Error(), "correct the parameters in the bundle")
		return
	}
	filled, err := fillDefaults(s.compiled, given)
	if err != nil {
		at.failKey("the bundle's defaults cannot be used: "+err.Error(), "correct the defaults in the bundle's parameters")
		return
	}
	explainer{cursor: at, value: filled, schema: s, parameters: true}.validate(s.compiled)
}

// parameters gives the compiled schema, also for a Bundle that was not made by this package.
func (b *Bundle) parameters() (*schema, error) {
	if b.schema != nil {
		return b.schema, nil
	}
	if b.Schema == nil {
		_, s := emptySchema()
		return s, nil
	}
	return newSchema(b.Schema)
}
