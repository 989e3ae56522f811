"""Jobs on Amazon SageMaker, by its Python SDK 2.x and boto3, which are imported only where they are used."""
