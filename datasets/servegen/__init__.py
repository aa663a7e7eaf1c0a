"""ServeGen: how single clients of a production service send requests, as parameters and distributions."""
