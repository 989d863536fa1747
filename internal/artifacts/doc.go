// Package artifacts makes a generation: it renders, packs and addresses what the hosts of a cluster install, and writes
// it to a directory that any static web server can serve:
//
//	generation.json            what there is, for the coordinator
//	config.json                the cluster config with every default filled in, for people
//	install.sh                 installs a host by hand
//	blobs/ab/abcdef…           every blob under its SHA-256: packages, config, manifests, bootstrap agents
//	roles/<role>/manifest.json the same bytes as the manifest's blob
//	roles/<role>/user-data     installs the role by cloud-init without a coordinator, where that is possible
//	sbom.spdx.json             the bill of materials
//	generation.dsse.json       what those who sign say of it, where generations are signed
//	generations/<config id>/   what had names in an earlier generation that is kept
//	packed.json                from which trees the packages were packed, so that the next run need not pack them again
//
// The same input gives the same bytes, whoever runs it, when, where and on how many cores, except for the signed statement
// and the earlier generations, which are there only when asked for. A generation is written
// beside the previous one and takes its place in one step: an interrupted or failed run changes nothing.
//
// The config blob of a role has the rendered files at their paths, the units in units/, and etc/host.env. It also has
// a target that wants all units of the role. The units are stopped one by one on uninstall, so a publisher need not
// write PartOf= into them.
//
// Only the coordinator links this package. What it writes is described by package manifest.
package artifacts
