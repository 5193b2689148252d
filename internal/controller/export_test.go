package controller

// ContentResources are the resources that the namespace-controller deletes.
func ContentResources() []string {
	var resources []string
	for _, content := range contents {
		resources = append(resources, content.resource)
	}
	return resources
}
